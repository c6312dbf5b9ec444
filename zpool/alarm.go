package zpool

import (
	"sync"
	"sync/atomic"
)

// alarm tells that the pool fills up: when it has used so many percent of its limit, and, should it refuse a page before, then.
// A pool may fill in less time than a step of the background takes, and all the room that is left may be ready frames of lanes
// that nobody asks: so stores themselves see that a level is reached, which costs them a comparison and, once a level, a wake-up.
// A goroutine of its own tells who wants to know.
type alarm struct {
	reached atomic.Int32 // levels
	on      atomic.Bool
	limit   atomic.Int64 // bytes, when a level was last reached

	mu struct { // held for some instructions
		sync.Mutex
		from [len(levels)]int64 // percent in use when the level was reached, at most its own
	}
	count      [len(levels)]atomic.Uint64 // times that each was reached; written under mu
	bell       chan struct{}
	stop, done chan struct{}
}

// levels are percent of the limit.
var levels = [...]int64{shortPercent, fullPercent}

// allowance is how many percent less must be used until a level can be reached anew.
const allowance = 5

// start starts the goroutine, which calls warn, if that is not nil, for each level that is reached. It must not be called twice.
func (a *alarm) start(warn func(percent int, limit int64)) {
	a.bell, a.stop, a.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	a.on.Store(true)
	go a.run(warn)
}

func (a *alarm) halt() {
	if a.on.Swap(false) {
		close(a.stop)
		<-a.done
	}
}

func (a *alarm) run(warn func(percent int, limit int64)) {
	defer close(a.done)
	var told [len(levels)]uint64
	for going := true; going; {
		select {
		case <-a.bell:
		case <-a.stop:
			going = false
		}
		for i, percent := range levels {
			for ; told[i] < a.count[i].Load(); told[i]++ {
				if warn != nil {
					warn(int(percent), a.limit.Load())
				}
			}
		}
	}
}

// look is for whoever knows how much is in use. It does not block.
func (a *alarm) look(used, limit int64) {
	n := int(a.reached.Load())
	for n < len(levels) && used*100 >= limit*levels[n] {
		n++
	}
	a.raise(n, used, limit)
}

// refused is for whoever refuses a page: all levels are reached, whatever is in use. It does not block.
func (a *alarm) refused(used, limit int64) { a.raise(len(levels), used, limit) }

func (a *alarm) raise(n int, used, limit int64) {
	if n <= int(a.reached.Load()) || !a.on.Load() {
		return
	}
	a.mu.Lock()
	a.limit.Store(limit)
	for i := int(a.reached.Load()); i < n; i++ {
		a.mu.from[i] = min(levels[i], used*100/max(limit, 1))
		a.count[i].Add(1)
		a.reached.Store(int32(i + 1))
	}
	a.mu.Unlock()
	select {
	case a.bell <- struct{}{}:
	default:
	}
}

// lower forgets levels that are left behind.
func (a *alarm) lower(used, limit int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.reached.Load()
	for n > 0 && used*100 < limit*(a.mu.from[n-1]-allowance) {
		n--
	}
	a.reached.Store(n)
}
