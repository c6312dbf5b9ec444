package door

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
)

// What relief goes by.
const (
	reliefTick  = 100 * time.Millisecond
	stallWindow = time.Second
	stallShare  = 0.5 // of the window in which all programs waited for memory
	stallCount  = 10  // windows in a row, until the OOM killer is called; then as many again
)

// relief is for a pool that is full while the whole machine swaps to it. Each page that is refused is tried again by the kernel,
// at once and for ever, and what little it finds elsewhere looks to it like progress: it would go on for minutes before its OOM
// killer came. So while the pool is full it is told not to swap, and if all programs have waited for memory most of the last ten
// seconds all the same, the OOM killer is called, which ends the program that has most.
type relief struct {
	pool       *zpool.Pool
	swappiness *swapdev.Swappiness
	stalls     stalls
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
	r.stalls.open()
	d.relief = r
	go r.run()
	return nil
}

func (r *relief) run() {
	defer close(r.done)
	tick := time.NewTicker(reliefTick)
	defer tick.Stop()
	stalled := 0
	for at := time.Duration(0); ; at += reliefTick {
		select {
		case <-r.quit:
			return
		case <-tick.C:
		}
		full := r.pool.Full()
		if full {
			_ = r.swappiness.Off() // what fails now is tried again
		} else {
			_ = r.swappiness.On()
		}
		if at%stallWindow > 0 {
			continue
		}
		if share := r.stalls.share(); !full || share < stallShare {
			stalled = 0
		} else if stalled++; stalled >= stallCount {
			stalled = 0
			r.call()
		}
	}
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
	return errors.Join(err, r.stalls.close())
}

// OOMKills returns how often the kernel's OOM killer was called because the pool was full and nothing went on.
func (d *Door) OOMKills() uint64 {
	if d.relief == nil {
		return 0
	}
	return d.relief.called.Load()
}

// stalls tells for how long all programs have waited for memory, from /proc/pressure (Linux 4.20).
type stalls struct {
	file *os.File // nil: not to be had, and nobody ever waits
	buf  []byte
	last uint64 // µs
	at   time.Time
}

func (s *stalls) open() {
	s.buf = make([]byte, 256)
	s.file, _ = os.Open("/proc/pressure/memory")
	s.share()
}

// share returns the share of the time since the last call.
func (s *stalls) share() float64 {
	if s.file == nil {
		return 0
	}
	n, err := unix.Pread(int(s.file.Fd()), s.buf, 0)
	total, ok := fullTotal(s.buf[:max(n, 0)])
	if err != nil || !ok {
		return 0
	}
	now := time.Now()
	share := float64(total-s.last) / float64(now.Sub(s.at).Microseconds())
	if s.at.IsZero() {
		share = 0
	}
	s.last, s.at = total, now
	return share
}

// fullTotal finds the total of the line "full avg10=0.00 avg60=0.00 avg300=0.00 total=123".
func fullTotal(text []byte) (total uint64, ok bool) {
	_, line, _ := bytes.Cut(text, []byte("full "))
	_, number, _ := bytes.Cut(line, []byte("total="))
	number, _, _ = bytes.Cut(number, []byte("\n"))
	total, err := strconv.ParseUint(string(number), 10, 64)
	return total, err == nil
}

func (s *stalls) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
