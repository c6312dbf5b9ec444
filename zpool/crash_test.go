package zpool

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/zsmalloc"
)

var crashesFlag = flag.Int("crashes", 100, "processes that TestCrash kills")

const (
	crashEnv     = "ZSWAPD_CRASH_CHILD" // set in a child: its seed
	crashWorkers = 3
	crashSlots   = 600
	crashLimit   = 2 << 20 // small, so that the pool is full now and then
)

func TestMain(m *testing.M) {
	if seed := os.Getenv(crashEnv); seed != "" {
		crashChild(seed)
	}
	os.Exit(m.Run())
}

// logEntry is what a child tells before and after each operation, in one write to a pipe. Content 0 is an empty slot.
type logEntry struct {
	slot, done uint32
	content    uint64
}

const logEntrySize = 16

// crashPage makes the page for a content.
func crashPage(page []byte, content uint64) {
	if content == 0 {
		clear(page)
		return
	}
	makePage(page, int(content%pageKinds), content)
}

// crashChild works on the store in file 3 until it is killed: each worker on slots of its own, telling pipe 4+worker
// what it does.
func crashChild(seedText string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, "crash child:", err)
		os.Exit(1)
	}
	seed, err := strconv.ParseUint(seedText, 10, 64)
	if err != nil {
		fail(err)
	}
	p, _, err := Open(os.NewFile(3, "store"), Options{MaxBytes: crashLimit, Compactor: &zsmalloc.CompactorOptions{
		MinWastePercent: 1, Budget: 4096, Rest: 1, Delay: time.Microsecond,
	}})
	if err != nil {
		fail(err)
	}
	for worker := range uint64(crashWorkers) {
		go func() {
			r, w := rand.New(rand.NewPCG(seed, worker)), p.NewWorker()
			log := os.NewFile(uintptr(4+worker), "log")
			tell := func(slot uint64, content, done uint64) {
				var b [logEntrySize]byte
				binary.LittleEndian.PutUint32(b[:], uint32(slot))
				binary.LittleEndian.PutUint32(b[4:], uint32(done))
				binary.LittleEndian.PutUint64(b[8:], content)
				if _, err := log.Write(b[:]); err != nil {
					fail(err)
				}
			}
			page := make([]byte, PageSize)
			for {
				slot := r.Uint64N(crashSlots/crashWorkers)*crashWorkers + worker
				content := r.Uint64()
				if r.IntN(3) == 0 {
					content = 0
				}
				tell(slot, content, 0)
				if content == 0 {
					err = w.Invalidate(slot, 1)
				} else {
					crashPage(page, content)
					err = w.Store(slot, page)
				}
				switch err {
				case nil:
					tell(slot, content, 1)
				case ErrFull:
				default:
					fail(err)
				}
			}
		}()
	}
	select {}
}

// TestCrash kills processes at random moments of working on a store, opening it among them. Whoever opens it next must
// find every page whose store was acknowledged, byte for byte, and an operation that was under way done or not done.
func TestCrash(t *testing.T) {
	r := newRand(t)
	p, err := New(Options{Slots: crashSlots, MaxBytes: crashLimit})
	noErr(t, err)
	if p.File() == nil {
		noErr(t, p.Close())
		t.Skip("the store is in Go memory, as race builds have it: no other process can open it")
	}
	store := dup(t, p.File())
	defer store.Close()
	noErr(t, p.Close())
	want := make([]uint64, crashSlots) // acknowledged contents
	total := 0
	for round := range *crashesFlag {
		seed := r.Uint64()
		lives := time.Duration(r.Int64N(int64(25 * time.Millisecond)))
		acked, underWay := crash(t, store, seed, lives)
		for _, e := range acked {
			want[e.slot] = e.content
		}
		total += len(acked)
		if err := verifyCrashed(dup(t, store), want, underWay); err != nil {
			t.Fatalf("round %d, child seed %d, killed after %v: %v", round, seed, lives, err)
		}
	}
	t.Logf("%d processes killed, %d operations acknowledged", *crashesFlag, total)
	if total < 20**crashesFlag {
		t.Errorf("only %d operations: the children are killed too early to test anything", total)
	}
}

func dup(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	noErr(t, err)
	return os.NewFile(uintptr(fd), "store")
}

// crash runs a child for so long, kills it, and returns what it acknowledged, and what it had begun and not ended.
func crash(t *testing.T, store *os.File, seed uint64, lives time.Duration) (acked, underWay []logEntry) {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), crashEnv+"="+strconv.FormatUint(seed, 10))
	c.Stderr = os.Stderr
	c.ExtraFiles = []*os.File{store}
	var logs []*os.File
	for range crashWorkers {
		read, write, err := os.Pipe()
		noErr(t, err)
		logs = append(logs, read)
		c.ExtraFiles = append(c.ExtraFiles, write)
	}
	noErr(t, c.Start())
	texts := make([]chan []byte, crashWorkers)
	for i, log := range logs {
		c.ExtraFiles[1+i].Close()
		texts[i] = make(chan []byte, 1)
		go func() {
			text, _ := io.ReadAll(log)
			log.Close()
			texts[i] <- text
		}()
	}
	time.Sleep(10*time.Millisecond + lives) // a process takes about 10 ms to begin
	noErr(t, c.Process.Kill())
	_ = c.Wait()
	if !c.ProcessState.Sys().(interface{ Signaled() bool }).Signaled() {
		t.Fatalf("child seed %d ended by itself: %v", seed, c.ProcessState)
	}
	for _, text := range texts {
		a, u := parseLog(<-text)
		acked, underWay = append(acked, a...), append(underWay, u...)
	}
	return acked, underWay
}

func parseLog(text []byte) (acked, underWay []logEntry) {
	for ; len(text) >= logEntrySize; text = text[logEntrySize:] {
		e := logEntry{binary.LittleEndian.Uint32(text), binary.LittleEndian.Uint32(text[4:]), binary.LittleEndian.Uint64(text[8:])}
		underWay = nil // a worker does one thing at a time, and a refused store changes nothing
		if e.done == 1 {
			acked = append(acked, e)
		} else {
			underWay = []logEntry{e}
		}
	}
	return acked, underWay
}

// verifyCrashed opens the store, checks it, and compares every slot. What was under way is settled in want.
func verifyCrashed(store *os.File, want []uint64, underWay []logEntry) error {
	p, rec, err := Open(store, Options{MaxBytes: crashLimit})
	if err != nil {
		return err
	}
	defer p.Close()
	if rec.Lost != 0 {
		return fmt.Errorf("lost pages: %+v", rec)
	}
	if err := p.Check(); err != nil {
		return err
	}
	w := p.NewWorker()
	page, got := make([]byte, PageSize), make([]byte, PageSize)
	for slot := range want {
		if err := w.Load(uint64(slot), got); err != nil {
			return err
		}
		if crashPage(page, want[slot]); bytes.Equal(page, got) {
			continue
		}
		i := slices.IndexFunc(underWay, func(e logEntry) bool { return int(e.slot) == slot })
		if i < 0 {
			return fmt.Errorf("slot %d does not hold its acknowledged page, and nothing was under way", slot)
		}
		if crashPage(page, underWay[i].content); !bytes.Equal(page, got) {
			return fmt.Errorf("slot %d holds neither its acknowledged page nor the one that was being stored", slot)
		}
		want[slot] = underWay[i].content
	}
	return nil
}
