package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/backing"
	"github.com/zswapd/zswapd/internal/guard"
	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
	"github.com/zswapd/zswapd/zsmalloc"
)

const (
	testSlots = 256 << 20 / zpool.PageSize
	testLimit = 256 << 20 // more than the workload can need: nothing is to be refused
)

// Descriptors that a server finds.
const (
	keeperSocket = 3
	firstHandle  = 4 // in the order of their names in the arguments
)

// stage is how far a server has come.
type stage string

var stages = []stage{kept, standby, opening, recovered, serving, first, released, closed}

const (
	kept      stage = "kept"      // Keep: the message carries the handles; only of the one that opens the door
	standby   stage = "standby"   // it has all that it needs, and waits for goOn; only of one that is started as a standby
	opening   stage = "opening"   // the store is about to be opened
	recovered stage = "recovered" // it is
	serving   stage = "serving"   // Open or Adopt is done
	first     stage = "first"     // a request was served
	released  stage = "released"  // Release is done; if the pool does not check, the exit code tells
	closed    stage = "closed"    // Close is done; likewise
)

// event is what a server tells its keeper, one JSON object a packet. The counts are those of the moment.
type event struct {
	Stage stage
	At    time.Duration // CLOCK_MONOTONIC, so that processes agree

	Pages, Lost uint64 // what recovery found
	Protections []string
	Names       []string // of the handles
	Record      swapdev.Record

	Answers        time.Duration // since when an adopted door has answered requests; likewise CLOCK_MONOTONIC
	Resent, Served uint64        // requests
	Errors         uint64        // of server and pool, of any kind
	Kinds          string        // which
	Stored, Memory int64         // pages and bytes of the pool
	Migrated       uint64        // objects moved by compaction
	Written        int64         // pages in the backing file
	FromFile       uint64        // objects read from there
	Locked         bool          // the buffers
	Faults         int64         // page faults since a standby was told to go on
}

// orders of the keeper.
const (
	goOn       = "go on"   // Keep may return
	releaseNow = "release" // and exit
	closeNow   = "close"   // and exit
)

// backingEnv names a folder for a backing file, for servers that have one.
const backingEnv = "ZSWAPD_TEST_BACKING"

// closeLimit is how long a server may take to close: swapoff, mostly.
const closeLimit = time.Minute

func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}

// served is a server's side of a test.
type served struct {
	faults int64          // when a standby was told to go on
	ready  *zpool.Standby // of a standby
	next   *Standby       // likewise
	pool   *zpool.Pool
	door   *Door
	mu     sync.Mutex // held to tell
	last   event
}

// serve is the server: it opens a door with a record in the folder args[0], or, if names of handles follow, adopts one.
func serve(args []string) error {
	var protections []string
	steps, _ := guard.Protect(guard.Options{SkipIOFlusher: whole.without("io-flusher")})
	for _, s := range steps {
		if s.OK {
			protections = append(protections, s.Name)
		}
	}
	handles := map[string]int{}
	for i, name := range args[1:] {
		handles[name] = firstHandle + i
	}
	unix.CloseOnExec(keeperSocket)
	for _, fd := range handles {
		unix.CloseOnExec(fd)
	}
	s := &served{last: event{Protections: protections}}
	run := s.adopt
	if len(handles) == 0 {
		run = s.open
	}
	if os.Getenv(standbyEnv) != "" {
		if on, err := s.standBy(handles); !on {
			return err
		}
	}
	record, err := run(args[0], handles)
	if err != nil {
		return err
	}
	s.last.Record = record.Record()
	if err := guard.Calm(); err != nil {
		return err
	}
	s.tell(serving)
	stopWatch, stopCompact, stopWriting := again(s.watch), again(s.compact), again(s.writeBack)
	order := listen()
	stopWatch()
	stopCompact()
	stopWriting()
	return s.obey(order, record)
}

func pageFaults() int64 {
	var use unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &use)
	return use.Minflt + use.Majflt
}

// standBy takes all that it takes to go on where another server ends, waits for the order to do so, and reports whether
// it came.
func (s *served) standBy(handles map[string]int) (on bool, err error) {
	if s.ready, err = zpool.Prepare(os.NewFile(uintptr(handles[StoreHandle]), StoreHandle), poolOptionsFor(handles)); err != nil {
		return false, err
	}
	o := s.options(nil)
	if s.next, err = Prepare(handles[ownHandle()], o); err != nil {
		return false, err
	}
	if err := errors.Join(s.ready.Refresh(), guard.Warm(standbyHeap)); err != nil {
		return false, err
	}
	var ballast *guard.Ballast
	if !whole.without("ballast") {
		if ballast, err = guard.NewBallast(standbyBallast); err != nil {
			return false, err
		}
	}
	stop := again(func() time.Duration {
		if err := s.ready.Refresh(); err != nil {
			finish(err)
		}
		return time.Second
	})
	s.tell(standby)
	on = listen() == goOn
	s.faults = pageFaults()
	ballast.Drop()
	if on && !whole.without("hurry") {
		err = guard.Hurry()
	}
	stop()
	return on && err == nil, err
}

// poolOptionsFor returns the options for a pool that is to be opened.
func poolOptionsFor(handles map[string]int) zpool.Options {
	o := poolOptions()
	if fd, ok := handles[BackingHandle]; ok {
		o.Backing = os.NewFile(uintptr(fd), BackingHandle)
	}
	return o
}

func poolOptions() zpool.Options {
	if whole != nil {
		return whole.pool()
	}
	return zpool.Options{Slots: testSlots, MaxBytes: testLimit, Compactor: &zsmalloc.CompactorOptions{}}
}

// again calls f, rests for as long as it says, and so on, until it is stopped.
func again(f func() (rest time.Duration)) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-time.After(f()):
			}
		}
	}()
	return func() { close(quit); <-done }
}

// compact never leaves the pool alone, worth it or not: a server is to be killed at it.
func (s *served) compact() time.Duration {
	if whole != nil {
		return time.Hour // there it has its own goroutine, as it has for users
	}
	if _, more := s.pool.Compact(64 << 10); more {
		return 0
	}
	return time.Millisecond
}

// writeBack never leaves the pool alone, either, if it has a backing file.
func (s *served) writeBack() time.Duration {
	if s.pool.Backing() == nil {
		return time.Hour
	}
	s.pool.Tick()
	_, _, err := s.pool.WriteBack(1, 1, 1<<20)
	if err == nil || errors.Is(err, backing.ErrFull) {
		_, _, err = s.pool.CleanBacking()
	}
	if err != nil && !errors.Is(err, backing.ErrFull) {
		finish(fmt.Errorf("backing file: %w", err))
	}
	return time.Millisecond
}

// watch tells when the first request was served, and then the counts every few milliseconds.
func (s *served) watch() time.Duration {
	if st := s.door.Stats(); st.Reads+st.Writes+st.Discards == 0 {
		return 100 * time.Microsecond
	}
	s.tell(first)
	if whole != nil {
		return 2 * time.Second
	}
	return 5 * time.Millisecond
}

func (s *served) options(r *swapdev.Run) Options {
	o := Options{Pool: s.pool, Record: r, Label: "zswapd-test", Kind: kind(), Priority: swapdev.MaxPriority, SpinMax: 50 * time.Microsecond}
	whole.prepare(&o)
	return o
}

func (s *served) open(state string, _ map[string]int) (record *swapdev.Run, err error) {
	if record, err = swapdev.NewRun(state); err != nil {
		return nil, err
	}
	if s.pool, err = zpool.New(poolOptions()); err != nil {
		return nil, err
	}
	if dir := os.Getenv(backingEnv); dir != "" {
		if err := s.pool.AddBacking(zpool.BackingOptions{Path: dir, Bytes: 64 << 20}); err != nil {
			return nil, err
		}
	}
	o := s.options(record)
	o.Keep = func(list []Handle) error {
		var fds []int
		for _, h := range list {
			s.last.Names, fds = append(s.last.Names, h.Name), append(fds, h.FD)
		}
		s.last.Record = record.Record()
		s.tell(kept, fds...)
		if order := listen(); order != goOn {
			return fmt.Errorf("the keeper says %q", order)
		}
		return nil
	}
	s.door, err = Open(o)
	return record, err
}

func (s *served) adopt(_ string, handles map[string]int) (record *swapdev.Run, err error) {
	s.tell(opening)
	if s.ready == nil {
		if s.ready, err = zpool.Prepare(os.NewFile(uintptr(handles[StoreHandle]), StoreHandle), poolOptionsFor(handles)); err != nil {
			return nil, err
		}
	}
	pool, found, err := s.ready.Open()
	if err != nil {
		return nil, err
	}
	s.pool, s.last.Pages, s.last.Lost = pool, found.Pages, found.Lost
	s.tell(recovered)
	run := os.NewFile(uintptr(handles[RunHandle]), RunHandle)
	if s.next != nil {
		s.door, err = s.next.Adopt(run, pool)
	} else {
		s.door, err = Adopt(handles[ownHandle()], run, s.options(nil))
	}
	if err != nil {
		return nil, err
	}
	s.last.Answers = monotonic() - time.Since(s.door.Serving())
	return s.door.Record(), nil
}

// tell sends an event, with descriptors.
func (s *served) tell(now stage, fds ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last.Stage, s.last.At, s.last.Faults = now, monotonic(), pageFaults()-s.faults
	if s.door != nil {
		f := s.door.Stats()
		s.last.Resent, s.last.Served, s.last.Locked = f.Resent, f.Reads+f.Writes+f.Discards, f.Locked
		s.last.Errors = f.ReadErrors + f.WriteErrors + f.DiscardErrors + f.ReplyErrors
		if now != closed { // what reads the connection may meet its end in the middle
			s.last.Errors += f.Malformed
		}
	}
	if s.pool != nil {
		p := s.pool.Stats()
		s.last.Stored, s.last.Memory, s.last.Migrated = p.StoredPages, p.MemoryBytes, p.ObjectsMigrated
		s.last.Written, s.last.FromFile = p.WrittenPages, p.Backing.Reads
		s.last.Errors += p.Corrupt + p.Unreadable + p.RejectedFull + p.RejectedAllocFail
		if s.last.Errors > 0 && s.door != nil {
			f := s.door.Stats()
			s.last.Kinds = fmt.Sprintf("read %d, write %d, discard %d, malformed %d, reply %d, corrupt %d, full %d, no memory %d",
				f.ReadErrors, f.WriteErrors, f.DiscardErrors, f.Malformed, f.ReplyErrors, p.Corrupt, p.RejectedFull, p.RejectedAllocFail)
		}
	}
	text, err := json.Marshal(&s.last)
	if err == nil {
		flags := 0
		if now == first {
			flags = unix.MSG_DONTWAIT // if the keeper has other things to do, it misses some counts
		}
		err = unix.Sendmsg(keeperSocket, text, unix.UnixRights(fds...), nil, flags)
		if err == unix.EAGAIN && now == first {
			err = nil
		}
	}
	if err != nil {
		finish(fmt.Errorf("tell the keeper: %w", err))
	}
}

func listen() string {
	buf := make([]byte, 64)
	n, err := unix.Read(keeperSocket, buf)
	if n <= 0 {
		return fmt.Sprint("nothing: ", err)
	}
	return string(buf[:n])
}

// obey carries an order out, the last. The pool is checked when nobody changes it: at a release with all that is in it.
func (s *served) obey(order string, record *swapdev.Run) error {
	switch order {
	case releaseNow:
		if err := s.door.Release(); err != nil {
			return err
		}
		s.tell(released)
	case closeNow:
		ctx, cancel := context.WithTimeout(context.Background(), closeLimit*time.Duration(slow()))
		defer cancel()
		if err := s.door.Close(ctx, swapdev.OffOptions{}); err != nil {
			return err
		}
		if err := record.Close(); err != nil {
			return err
		}
		s.tell(closed)
	default:
		return fmt.Errorf("the keeper says %q", order)
	}
	// guard.Warm has left the heap no room for what Check remembers of each page: it would collect all the time.
	debug.SetMemoryLimit(math.MaxInt64)
	debug.SetGCPercent(100)
	fmt.Println("it has", order+"d")
	return errors.Join(s.pool.Check(), s.pool.Close())
}
