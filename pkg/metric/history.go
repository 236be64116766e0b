package metric

import "time"

// mostRows bounds how finely a window is remembered.
const mostRows = 128

// history is how far some counters had grown at moments of the recent past. It keeps the moments of
// one window, and of those that lie close together only some.
type history struct {
	window time.Duration
	every  time.Duration // distance of the moments
	width  int           // counters
	at     []time.Duration
	rows   []float64 // width of them for each moment
}

func newHistory(window, every time.Duration, width int) history {
	return history{window: window, every: max(every, window/mostRows), width: width}
}

// push adds the present, and forgets what lies before the window.
func (h *history) push(now time.Duration, row []float64) {
	old := 0
	for old < len(h.at) && h.at[old] < now-h.window {
		old++
	}
	n := len(h.at)
	if n-old >= 2 && h.at[n-1]-h.at[n-2] < h.every/2 {
		n--
	}
	h.at = append(h.at[:copy(h.at, h.at[old:n])], now)
	h.rows = append(h.rows[:copy(h.rows, h.rows[old*h.width:n*h.width])], row...)
}

// grown writes into row by how much each counter grew over the window, and returns the time that this
// took. It is false unless the moments reach back over the window. The first moment that counts lies
// within the window, so that nothing from before it does.
func (h *history) grown(row []float64) (over time.Duration, ok bool) {
	n := len(h.at)
	if n < 2 {
		return 0, false
	}
	over = h.at[n-1] - h.at[0]
	first, last := h.rows[:h.width], h.rows[(n-1)*h.width:]
	for i := range row {
		row[i] = last[i] - first[i]
	}
	return over, over >= h.window-h.every*3/2
}
