package zpool

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/internal/backing"
	"github.com/zswapd/zswapd/zsmalloc"
)

var crashesFlag = flag.Int("crashes", 50, "processes that TestCrash kills")

const (
	crashEnv     = "ZSWAPD_CRASH_CHILD" // set in a child: its crashOrder
	crashWorkers = 3
	crashSlots   = 20 * slotsPerFrame
	crashHot     = 1200    // slots that most operations are on
	crashLimit   = 3 << 19 // small, so that the pool is full now and then
	crashDense   = "s2"    // packs idle pages; it is ready at once
	crashBacking = 6 << 20 // so small that the log goes round
)

// crashOrder is what a child is told to do.
type crashOrder struct {
	Seed    uint64
	Backing string // path of the backing file
	Ops     int    // operations of each worker, after which the child ends; 0: it works until it is killed

	// For builds with the tag invariants.
	Step   string // where it kills itself, "" for nowhere
	Hit    int64  // the how-manieth time it comes by there, from 1 on
	Mutant string
}

// crashHooks prepares a child for the last three, and returns what writes how often it came by at each step.
var crashHooks func(o crashOrder) (report func(w io.Writer) error)

func TestMain(m *testing.M) {
	if order := os.Getenv(crashEnv); order != "" {
		if err := crashChild(order); err != nil {
			fmt.Fprintln(os.Stderr, "crash child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// logEntry is what a child tells before and after each operation, in one write to a pipe. Content 0 is an empty slot.
type logEntry struct {
	slot, done uint32
	content    uint64
}

const logEntrySize = 16

// crashPage makes the page for a content. Bits 8 to 11 say what sort it is: half of them are of a few size classes, so that
// there is something to compact.
func crashPage(page []byte, content uint64) {
	switch sort := (content >> 8) % 16; {
	case content == 0:
		clear(page)
	case sort < 8:
		makePage(page, 3, content)
		clear(page[[]int{100, 400, 1000, 1800, sortShort: 3625, sortLong: 3791, 100, 400}[sort]:])
	case sort == 8:
		makePage(page, 3, content)
		clear(page[(content>>12)%PageSize:])
	default:
		makePage(page, int(sort%pageKinds), content)
	}
}

// Two sorts of pages that minlz and lz4 make fit for zspages of 9 and of 15 frames: the same lane.
const sortShort, sortLong = 4, 5

// crashChild works on the store in file 3: each worker on slots of its own, telling pipe 4+worker what it does.
func crashChild(text string) error {
	var o crashOrder
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	report := func(io.Writer) error { return nil }
	if crashHooks != nil {
		report = crashHooks(o)
	}
	file, err := openBacking(o.Backing)
	if err != nil {
		return err
	}
	p, rec, err := Open(os.NewFile(3, "store"), Options{
		Backing: file, RecompressCodec: crashDense, ClusterSize: PageSize << (o.Seed >> 8 % 4),
		MaxBytes: crashLimit, Compressor: []string{"minlz", "lz4", "lz4", "lz4"}[o.Seed%4], // the latter begins sooner
		Compactor: &zsmalloc.CompactorOptions{MinWastePercent: 1, Budget: 4096, Rest: 1, Delay: time.Microsecond},
	})
	if err == nil && rec.Backing != nil {
		err = rec.Backing
	}
	if err != nil {
		return err
	}
	var workers, background sync.WaitGroup
	var stop atomic.Bool
	p.tiers.hotAge.Store(3)
	background.Go(func() {
		for !stop.Load() {
			p.Tick()
			if _, _, err := p.Recompress(0, 64); err != nil {
				fmt.Fprintln(os.Stderr, "crash child:", err)
				os.Exit(1)
			}
		}
	})
	background.Go(func() {
		r := rand.New(rand.NewPCG(o.Seed, 1000))
		for !stop.Load() {
			if err := crashWriteBack(p, o.Backing, r); err != nil {
				fmt.Fprintln(os.Stderr, "crash child: backing file:", err)
				os.Exit(1)
			}
		}
	})
	for worker := range uint64(crashWorkers) {
		workers.Go(func() {
			if err := crashWorker(p, o, worker); err != nil {
				fmt.Fprintln(os.Stderr, "crash child:", err)
				os.Exit(1)
			}
		})
	}
	workers.Wait()
	stop.Store(true)
	background.Wait()
	if err := p.Check(); err != nil {
		return err
	}
	return report(os.Stdout)
}

// openBacking opens the backing file of a store, if there ever was one.
func openBacking(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// crashWriteBack does one thing to the backing file.
func crashWriteBack(p *Pool, path string, r *rand.Rand) (err error) {
	p.writeback.hotAge.Store(r.Uint32N(3))
	clear(p.writeback.recent[:])
	switch n := r.IntN(100); {
	case p.Backing() == nil:
		err = p.AddBacking(BackingOptions{Path: path, Bytes: crashBacking})
	case n == 0:
		err = p.RemoveBacking(false)
		if room := (*RoomError)(nil); errors.As(err, &room) {
			err = nil
		}
	case n < 30:
		_, _, err = p.CleanBacking()
	case n < 40:
		_, err = p.writeback.file.Load().Sweep(2)
	default:
		_, _, err = p.WriteBack(1, 1, 1+r.Int64N(300_000))
	}
	if errors.Is(err, backing.ErrFull) || errors.Is(err, arena.ErrLimit) {
		return nil
	}
	return err
}

func crashWorker(p *Pool, o crashOrder, worker uint64) error {
	r, w := rand.New(rand.NewPCG(o.Seed, worker)), p.NewWorker()
	log := os.NewFile(uintptr(4+worker), "log")
	tell := func(slot, content, done uint64) error {
		var b [logEntrySize]byte
		binary.LittleEndian.PutUint32(b[:], uint32(slot))
		binary.LittleEndian.PutUint32(b[4:], uint32(done))
		binary.LittleEndian.PutUint64(b[8:], content)
		_, err := log.Write(b[:])
		return err
	}
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	gone := 1                   // of 6 operations, how many invalidate: few, but most when the pool was full
	mine := map[uint64]uint64{} // what it has stored itself
	for n := 0; o.Ops == 0 || n < o.Ops; n++ {
		if n%100 == 0 {
			gone = 1
		}
		if n%10 == 0 {
			p.zs.Urge() // compact
		}
		slot := r.Uint64N(crashHot/crashWorkers)*crashWorkers + worker
		if r.IntN(50) == 0 {
			slot = r.Uint64N(crashSlots/crashWorkers)*crashWorkers + worker
		}
		content := r.Uint64()
		if r.IntN(2) == 0 { // they take turns, and each other's runs
			content = content&^(15<<8) | uint64(sortShort+n/256%2*(sortLong-sortShort))<<8
		}
		switch turn := r.IntN(6); {
		case turn < gone:
			content = 0
		case turn == 5: // of a slot that another process wrote it knows no more than that there is no damage
			content, known := mine[slot]
			if err := w.Load(slot, got); err != nil {
				return err
			}
			if crashPage(page, content); known && !bytes.Equal(page, got) {
				return fmt.Errorf("slot %d: not the page that was stored", slot)
			}
			continue
		}
		if err := tell(slot, content, 0); err != nil {
			return err
		}
		var err error
		if content == 0 {
			err = w.Invalidate(slot, 1)
		} else {
			crashPage(page, content)
			err = w.Store(slot, page)
		}
		if err == ErrFull {
			gone = 5
			continue
		}
		if err != nil {
			return err
		}
		mine[slot] = content
		if err := tell(slot, content, 1); err != nil {
			return err
		}
	}
	return nil
}

// crashStore is a store that outlives its processes, and what its slots may hold.
type crashStore struct {
	f    *os.File
	want [crashSlots][]uint64 // contents: the one that was acknowledged last, and those that were under way at a kill since
	ops  int                  // acknowledged

	clusters int    // found by all who opened it
	written  int    // likewise: pages in the backing file
	path     string // of that
}

func newCrashStore(t *testing.T) *crashStore {
	t.Helper()
	p, err := New(Options{Slots: crashSlots, MaxBytes: crashLimit, Compressor: "lz4"})
	noErr(t, err)
	if p.File() == nil {
		noErr(t, p.Close())
		t.Skip("the store is in Go memory, as race builds have it: no other process can open it")
	}
	s := &crashStore{f: dup(t, p.File()), path: filepath.Join(shm(t), "pages")}
	noErr(t, p.Close())
	for slot := range s.want {
		s.want[slot] = []uint64{0}
	}
	return s
}

func dup(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	noErr(t, err)
	return os.NewFile(uintptr(fd), "store")
}

// run has a child work on the store and notes what it did. kill, if not nil, says when to kill it; began is closed when the
// child has opened the store. run reports whether the child was killed, or if it ended, what it wrote.
func (s *crashStore) run(t *testing.T, o crashOrder, kill func(began <-chan struct{})) (killed bool, report []byte) {
	t.Helper()
	o.Backing = s.path
	order, err := json.Marshal(o)
	noErr(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "/proc/self/exe")
	c.Cancel = func() error { return c.Process.Signal(unix.SIGQUIT) } // it says where it hangs
	c.Env = append(os.Environ(), crashEnv+"="+string(order), fmt.Sprintf("GOMAXPROCS=%d", runtime.GOMAXPROCS(0)))
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, os.Stderr
	c.ExtraFiles = []*os.File{s.f}
	var logs []*os.File
	for range crashWorkers {
		read, write, err := os.Pipe()
		noErr(t, err)
		logs = append(logs, read)
		c.ExtraFiles = append(c.ExtraFiles, write)
	}
	noErr(t, c.Start())
	texts := make([]chan []byte, crashWorkers)
	began, begin := make(chan struct{}), new(sync.Once)
	for i, log := range logs {
		c.ExtraFiles[1+i].Close()
		texts[i] = make(chan []byte, 1)
		go func() {
			first := make([]byte, logEntrySize)
			n, _ := io.ReadFull(log, first)
			begin.Do(func() { close(began) }) // or it died before
			text, _ := io.ReadAll(log)
			log.Close()
			texts[i] <- append(first[:n], text...)
		}()
	}
	if kill != nil {
		kill(began)
		noErr(t, c.Process.Kill())
	}
	_ = c.Wait()
	killed = c.ProcessState.Sys().(interface{ Signaled() bool }).Signaled()
	switch {
	case ctx.Err() != nil:
		t.Fatalf("child %s hangs", order)
	case !killed && (kill != nil || !c.ProcessState.Success()):
		t.Fatalf("child %s ended by itself: %v", order, c.ProcessState)
	}
	for _, text := range texts {
		s.note(<-text)
	}
	return killed, out.Bytes()
}

// note settles what one worker did: it does one thing at a time, and a refused store changes nothing.
func (s *crashStore) note(log []byte) {
	var underWay *logEntry
	for ; len(log) >= logEntrySize; log = log[logEntrySize:] {
		e := logEntry{binary.LittleEndian.Uint32(log), binary.LittleEndian.Uint32(log[4:]), binary.LittleEndian.Uint64(log[8:])}
		if underWay = &e; e.done == 1 {
			s.want[e.slot], underWay = []uint64{e.content}, nil
			s.ops++
		}
	}
	if underWay != nil {
		s.want[underWay.slot] = append(s.want[underWay.slot], underWay.content)
	}
}

// verify opens the store, checks it, and compares every slot; what was under way is settled. Then it works on: what was
// recovered can be used.
func (s *crashStore) verify(t *testing.T, r *rand.Rand) (err error) {
	t.Helper()
	file, err := openBacking(s.path)
	noErr(t, err)
	p, rec, err := Open(dup(t, s.f), Options{Backing: file, MaxBytes: crashLimit, Compressor: "lz4", RecompressCodec: crashDense})
	if err != nil {
		return err
	}
	defer p.Close()
	s.clusters += int(p.Stats().Clusters)
	s.written += int(p.Stats().WrittenPages)
	if rec.Lost != 0 || rec.Backing != nil || rec.Unclaimed > crashWorkers+3 {
		return fmt.Errorf("lost pages, or objects: %+v", rec)
	}
	if err := p.Check(); err != nil {
		return err
	}
	w := p.NewWorker()
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	for slot, contents := range s.want {
		if err := w.Load(uint64(slot), got); err != nil {
			return err
		}
		found := false
		for _, content := range contents {
			if crashPage(page, content); !found && bytes.Equal(page, got) {
				s.want[slot], found = []uint64{content}, true
			}
		}
		if !found {
			return fmt.Errorf("slot %d holds neither its acknowledged page nor one that was being stored: contents %#x", slot, contents)
		}
	}
	for range 100 {
		slot, content := r.Uint64N(crashHot), r.Uint64()*r.Uint64N(2)
		if crashPage(page, content); content == 0 {
			err = w.Invalidate(slot, 1)
		} else {
			err = w.Store(slot, page)
		}
		if err == ErrFull {
			continue
		}
		if err != nil {
			return fmt.Errorf("after recovery: %w", err)
		}
		s.want[slot] = []uint64{content}
		p.Compact(r.IntN(4096))
		if r.IntN(20) == 0 {
			p.Tick()
			if p.Backing() != nil {
				if err := crashWriteBack(p, s.path, r); err != nil {
					return fmt.Errorf("after recovery: %w", err)
				}
			}
			if _, _, err := p.Recompress(0, 64); err != nil {
				return fmt.Errorf("after recovery: %w", err)
			}
		}
		if err := w.Load(slot, got); err != nil || !bytes.Equal(page, got) {
			return fmt.Errorf("after recovery: slot %d: %v, or another page", slot, err)
		}
	}
	if err := p.Check(); err != nil {
		return fmt.Errorf("after recovery: %w", err)
	}
	return nil
}

// TestCrash kills processes at random moments of working on a store, opening it among them. Whoever opens it next must
// find every page whose store was acknowledged, byte for byte, and an operation that was under way done or not done.
func TestCrash(t *testing.T) {
	r := newRand(t)
	s := newCrashStore(t)
	defer s.f.Close()
	for round := range *crashesFlag {
		o := crashOrder{Seed: r.Uint64()}
		lives, opened := time.Duration(r.Int64N(int64(20*time.Millisecond))), r.IntN(8) > 0
		s.run(t, o, func(began <-chan struct{}) {
			if opened {
				<-began
			}
			time.Sleep(lives)
		})
		if err := s.verify(t, r); err != nil {
			t.Fatalf("round %d, child %+v, killed after %v, opened first: %t: %v", round, o, lives, opened, err)
		}
	}
	t.Logf("%d processes killed, %d operations acknowledged, %d clusters and %d written pages found", *crashesFlag, s.ops, s.clusters, s.written)
	if s.ops < 20**crashesFlag || s.clusters < *crashesFlag || s.written < *crashesFlag {
		t.Errorf("only %d operations, %d clusters, %d written: the children are killed too early to test anything", s.ops, s.clusters, s.written)
	}
}
