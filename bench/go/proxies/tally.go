package main

import (
	"bytes"
	"sync"

	"osm.example/bench/child"
)

// received is by all streams together, so far.
type received struct {
	Pushes int `json:"pushes"`
	Bytes  int `json:"bytes"`
}

// answered: every stream has acknowledged what was sought; the second of the last one.
type answered struct {
	AnsweredS float64 `json:"answered_s"`
	Pushes    int     `json:"pushes"`
	Bytes     int     `json:"bytes"`
}

// tally counts what comes for all streams together. A server of which nobody can tell when it had the last answer is
// timed here, where the answer is sent: a little early, in its favour.
type tally struct {
	mu        sync.Mutex
	streams   int
	told      received
	sought    []byte // nil: nothing is
	open      int    // streams that have not acknowledged it
	answeredS float64
	all       chan struct{}
}

func newTally(streams int) *tally { return &tally{streams: streams, all: make(chan struct{}, 1)} }

// took: a response was received, and its acknowledgement is sent.
func (t *tally) took(response []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told.Pushes++
	t.told.Bytes += len(response)
	if t.open == 0 || !bytes.Contains(response, t.sought) {
		return
	}
	if t.open--; t.open == 0 {
		t.answeredS = child.MonotonicS()
		t.all <- struct{}{}
	}
}

func (t *tally) received() received {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.told
}

// arm counts, from now on, the streams that acknowledge a response with these bytes in it.
func (t *tally) arm(sought string) received {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sought, t.open = []byte(sought), t.streams
	return t.told
}

// answered waits until all have.
func (t *tally) answered() answered {
	<-t.all
	t.mu.Lock()
	defer t.mu.Unlock()
	return answered{AnsweredS: t.answeredS, Pushes: t.told.Pushes, Bytes: t.told.Bytes}
}
