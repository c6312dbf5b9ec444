package logs

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queueLines = 256
	closeLimit = time.Second
)

// queue writes lines in order, on a goroutine of its own.
type queue struct {
	lines   chan []byte
	dropped atomic.Uint64
	once    sync.Once
	stop    chan struct{}
	done    chan struct{}
}

func newQueue(w io.Writer) *queue {
	q := &queue{lines: make(chan []byte, queueLines), stop: make(chan struct{}), done: make(chan struct{})}
	go q.run(w)
	return q
}

func (q *queue) put(line []byte) {
	select {
	case q.lines <- line:
	default:
		q.dropped.Add(1)
	}
}

func (q *queue) run(w io.Writer) {
	defer close(q.done)
	for {
		select {
		case line := <-q.lines:
			q.write(w, line)
			continue
		default:
		}
		select {
		case line := <-q.lines:
			q.write(w, line)
		case <-q.stop:
			q.rest(w)
			return
		}
	}
}

// rest writes the lines that came before the end, and after it was looked for them.
func (q *queue) rest(w io.Writer) {
	for {
		select {
		case line := <-q.lines:
			q.write(w, line)
		default:
			return
		}
	}
}

func (q *queue) write(w io.Writer, line []byte) {
	_, _ = w.Write(line) // there is nobody to tell
	if n := q.dropped.Swap(0); n > 0 {
		_, _ = fmt.Fprintf(w, "zswapd: %d lines were dropped: whoever reads this log was too slow\n", n)
	}
}

func (q *queue) close() {
	q.once.Do(func() { close(q.stop) })
	select {
	case <-q.done:
	case <-time.After(closeLimit):
	}
}
