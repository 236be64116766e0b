package source

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// worker is a member for a word that tells when it begins and ends.
type worker struct {
	word string
	say  func(string, ...any)
}

func (w *worker) Watches(word string) bool { return w.word == word }

func (w *worker) Run(ctx context.Context) {
	w.say("%s begins", w.word)
	<-ctx.Done()
	w.say("%s ends", w.word)
}

func (w *worker) Stats() Stats { return Stats{Name: w.word} }

func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := make(chan string, 100)
		want := func(words ...string) {
			t.Helper()
			synctest.Wait()
			got := map[string]bool{}
			for len(said) > 0 {
				got[<-said] = true
			}
			all := map[string]bool{}
			for _, w := range words {
				all[w] = true
			}
			if diff := cmp.Diff(all, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		}
		g := NewGroup(func(word string) Member[string] {
			return &worker{word, func(f string, args ...any) { said <- fmt.Sprintf(f, args...) }}
		})
		g.SetTargets([]string{"a", "b"})
		want()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			g.Run(ctx)
			close(done)
		}()
		want("a begins", "b begins")
		g.SetTargets([]string{"c", "b", "b"})
		want("a ends", "c begins", "b begins")
		if s := g.Stats(); len(s) != 3 || s[0].Name != "c" || s[2].Name != "b" {
			t.Errorf("%+v", s)
		}
		cancel()
		<-done
		want("b ends", "c ends")
		g.SetTargets([]string{"d"})
		want()
	})
}
