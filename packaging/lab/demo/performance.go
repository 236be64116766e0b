package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// performance is an act being played: those of its stories that are wanted.
type performance struct {
	act     act
	first   int   // number of its first story
	numbers []int // to be played
	told    bytes.Buffer
	done    chan struct{} // closed when it was played; what follows is known then

	scene  scene // nil: it could not be opened
	failed bool  // a story did not end as it must
	err    error
}

// play opens the scene and plays the stories.
func (p *performance) play(ctx context.Context, o Options, out io.Writer) {
	defer close(p.done)
	o.Out = out
	s, err := p.act.open(ctx, o)
	if err != nil {
		p.err = err
		return
	}
	p.scene = s
	fmt.Fprintf(out, "%s\n\n", s.describe())
	for _, n := range p.numbers {
		fmt.Fprintf(out, "%d  %s\n", n, s.title(n-p.first))
		err := s.perform(ctx, n-p.first)
		if ctx.Err() != nil {
			p.err = errors.New("interrupted")
			return
		}
		p.failed = p.failed || err != nil
		fmt.Fprintf(out, "   %s\n\n", s.last())
	}
}

// close waits for the end and takes the scene back.
func (p *performance) close() error {
	if !p.act.beside && p.scene == nil {
		return nil // its turn never came
	}
	<-p.done
	if p.scene == nil {
		return nil
	}
	return p.scene.close()
}
