package escalate

import (
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/notify"
)

// state of a job.
type state string

// waiting ─┬─► told
//
//	├─► refused   (for good, or given up)
//	└─► dropped   (the incident ended first)
const (
	waiting state = "waiting"
	told    state = "told"
	refused state = "refused"
	dropped state = "dropped"
)

// job is one message for one notifier.
type job struct {
	Key      string      `json:"key"`
	Notifier string      `json:"notifier"`
	Farewell bool        `json:"farewell,omitempty"`
	Since    clock.Stamp `json:"since"`
	State    state       `json:"state"`
	// Begun is on disk before the message is first sent: whoever may have got it gets the farewell, too.
	Begun bool `json:"begun,omitempty"`

	seq    uint64
	tries  int
	flying bool
	text   notify.Message // while waiting
}

// file is what is known of one incident's messages.
type file struct {
	Incident string      `json:"incident"`
	Closed   clock.Stamp `json:"closed,omitzero"` // zero: the incident goes on
	Jobs     []*job      `json:"jobs"`
	Told     []string    `json:"told"` // notifiers that have, or may have, a message
}

// Keys of records in the store.
const (
	filePrefix    = "file/"
	messagePrefix = "message/"
)

func (f *file) find(key, notifier string) *job {
	i := slices.IndexFunc(f.Jobs, func(j *job) bool { return j.Key == key && j.Notifier == notifier })
	if i < 0 {
		return nil
	}
	return f.Jobs[i]
}

func (f *file) tell(notifier string) {
	if !slices.Contains(f.Told, notifier) {
		f.Told = append(f.Told, notifier)
	}
}

// knows reports whether anything was ever meant for the notifier.
func (f *file) knows(notifier string) bool {
	return slices.ContainsFunc(f.Jobs, func(j *job) bool { return j.Notifier == notifier })
}

// waits reports whether any job waits, of a message if key is not "".
func (f *file) waits(key string) bool {
	return slices.ContainsFunc(f.Jobs, func(j *job) bool { return j.State == waiting && (key == "" || j.Key == key) })
}

// first reports whether no older job for the same notifier waits: the messages of one incident keep their order.
func (f *file) first(j *job) bool {
	return !slices.ContainsFunc(f.Jobs, func(o *job) bool {
		return o.State == waiting && o.Notifier == j.Notifier && o.seq < j.seq
	})
}

// trim forgets the oldest jobs that are done.
func (f *file) trim(keep int) {
	for over := len(f.Jobs) - keep; over > 0; over-- {
		i := slices.IndexFunc(f.Jobs, func(j *job) bool { return j.State != waiting })
		if i < 0 {
			return
		}
		f.Jobs = slices.Delete(f.Jobs, i, i+1)
	}
}

// load reads all files and the messages of jobs that wait.
func load(s Store) (map[string]*file, error) {
	files := map[string]*file{}
	messages := map[string]notify.Message{}
	err := s.Each(func(key string, decode func(any) error) error {
		if id, ok := strings.CutPrefix(key, filePrefix); ok {
			f := new(file)
			files[id] = f
			return decode(f)
		}
		var m notify.Message
		if err := decode(&m); err != nil {
			return err
		}
		messages[strings.TrimPrefix(key, messagePrefix)] = m
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		for _, j := range f.Jobs {
			if j.State != waiting {
				continue
			}
			if j.Begun { // the last life of this agent may have sent it
				f.tell(j.Notifier)
			}
			text, ok := messages[j.Key]
			if !ok { // cannot be: a message is written before the file that needs it, and removed after it
				j.State = dropped
			}
			j.text = text
		}
	}
	return files, nil
}
