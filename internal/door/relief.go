package door

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
)

// What relief goes by.
const (
	reliefTick  = 100 * time.Millisecond
	holdTicks   = 20 // that a pool counts as full after the last page that it refused for that
	stuckCount  = 2  // windows in a row, in each of which more pages were refused than taken, until it counts as full, whatever the reason
	stuckHold   = 50 // ticks that it then does
	windowTicks = 10 // by which it looks what became of pages, and whether programs wait for memory
	stallShare  = 0.5
	stallCount  = 10 // windows in a row in which they do, until the OOM killer is called; then as many again
	shortShare  = 16 // of the memory, below which what is available is too little
)

// relief is for a pool that is full while the whole machine swaps to it. Each page that is refused is tried again by the kernel,
// at once and for ever. So while the pool is full the kernel is told not to swap; and if programs have waited for memory for most
// of the last ten seconds all the same, with next to none available, its OOM killer is called, which ends the program that has most.
//
// A pool near its limit frees some memory and fills it again at once: so it counts as full until it has refused nothing for a while.
// And one is as good as full when there is no memory for it: pages that do not compress take as much as they free.
type relief struct {
	pool       *zpool.Pool
	swappiness *swapdev.Swappiness
	memory     memory
	killer     *os.File // sysrq-trigger; nil: none
	called     atomic.Uint64
	quit, done chan struct{}
}

// relieve starts it, for a whole machine.
func (d *Door) relieve(o *Options) (err error) {
	if !o.WholeMachine || o.withoutRelief {
		return nil
	}
	r := &relief{pool: d.pool, quit: make(chan struct{}), done: make(chan struct{})}
	if r.swappiness, err = d.record.Swappiness(); err != nil {
		return err
	}
	if !o.withoutKiller {
		if r.killer, err = os.OpenFile("/proc/sysrq-trigger", os.O_WRONLY, 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return errors.Join(err, r.swappiness.Close())
		}
	}
	r.memory.open()
	d.relief = r
	go r.run()
	return nil
}

func (r *relief) run() {
	defer close(r.done)
	tick := time.NewTicker(reliefTick)
	defer tick.Stop()
	var f fullness
	stalled := 0
	for n := 1; ; n++ {
		select {
		case <-r.quit:
			return
		case <-tick.C:
		}
		st := r.pool.Stats()
		full := f.look(st.RejectedFull, st.RejectedAllocFail, st.Stores, r.pool.Full())
		if full {
			_ = r.swappiness.Off() // what fails now is tried again
		} else {
			_ = r.swappiness.On()
		}
		if n%windowTicks > 0 {
			continue
		}
		if !full {
			_ = r.swappiness.Note() // that, too
		}
		if share := r.memory.stalled(); !full || share < stallShare || !r.memory.short() {
			stalled = 0
		} else if stalled++; stalled >= stallCount {
			stalled = 0
			r.call()
		}
	}
}

// fullness tells from what becomes of pages whether the pool counts as full.
type fullness struct {
	refused             uint64 // because the pool is full: at the last look
	windowAll, windowIn uint64 // all that were refused, and those that were stored, when the window began
	ticks, stuck, hold  int    // of the window; windows; ticks
}

// look is called at each tick, with what was refused because the pool is full and because there is no memory, what was stored, and
// whether the pool says that it is full. A window in which nothing came says little: while the kernel does not swap, none comes.
func (f *fullness) look(refused, failed, stored uint64, says bool) bool {
	if f.ticks++; f.ticks >= windowTicks {
		out, in := refused+failed-f.windowAll, stored-f.windowIn
		switch {
		case out > in:
			f.stuck++
		case in > 0:
			f.stuck = 0
		case f.stuck > 0:
			f.stuck--
		}
		f.ticks, f.windowAll, f.windowIn = 0, refused+failed, stored
	}
	switch {
	case f.stuck >= stuckCount && f.ticks == 0:
		f.hold = stuckHold
	case says, refused != f.refused:
		f.hold = max(f.hold, holdTicks)
	case f.hold > 0:
		f.hold--
	}
	f.refused = refused
	return f.hold > 0
}

// call calls the kernel's OOM killer.
func (r *relief) call() {
	if r.killer != nil {
		r.called.Add(1)
		_, _ = unix.Write(int(r.killer.Fd()), []byte{'f'})
	}
}

// end ends it, if there is one, and lets the kernel swap as before. It may be called more than once.
func (r *relief) end() error {
	if r == nil || r.quit == nil {
		return nil
	}
	close(r.quit)
	<-r.done
	r.quit = nil
	err := errors.Join(r.swappiness.On(), r.swappiness.Close())
	if r.killer != nil {
		err = errors.Join(err, r.killer.Close())
	}
	return errors.Join(err, r.memory.close())
}

// OOMKills returns how often the kernel's OOM killer was called because the pool was full and nothing went on.
func (d *Door) OOMKills() uint64 {
	if d.relief == nil {
		return 0
	}
	return d.relief.called.Load()
}
