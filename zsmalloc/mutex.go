package zsmalloc

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// contendedMutex is a mutex whose holder can ask whether somebody waits, and give way.
type contendedMutex struct {
	mu      sync.Mutex
	waiting atomic.Int32
}

func (m *contendedMutex) Lock() {
	if !m.mu.TryLock() {
		m.waiting.Add(1)
		m.mu.Lock()
		m.waiting.Add(-1)
	}
}

func (m *contendedMutex) Unlock()         { m.mu.Unlock() }
func (m *contendedMutex) contended() bool { return m.waiting.Load() > 0 }

// backoff is one turn of waiting for a bit that its owner holds for about a microsecond: first other goroutines
// run, then, as the owner's thread seems to have lost its CPU, this thread sleeps.
func backoff(turn int) {
	if turn < 64 {
		runtime.Gosched()
	} else {
		time.Sleep(20 * time.Microsecond)
	}
}
