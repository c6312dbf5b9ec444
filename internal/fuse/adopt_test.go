package fuse

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/swaptest"
)

const (
	childEnv     = "ZSWAPD_FUSE_TEST_CHILD"
	adoptClients = 4
	adoptPages   = adoptClients * clientPages
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := serveAsChild(); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		return
	}
	unlock := swaptest.Lock() // what the kernel offers is a setting for all; tests of cmd/zswapd change it, too
	code := m.Run()
	unlock()
	os.Exit(code)
}

// shared is a Store in memory that outlives the process.
type shared struct{ mem []byte }

func newShared(fd int) (shared, error) {
	mem, err := unix.Mmap(fd, 0, adoptPages*pageBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	return shared{mem}, err
}

func (s shared) Load(first uint64, dst []byte) error {
	copy(dst, s.mem[first*pageBytes:])
	return nil
}

func (s shared) Store(first uint64, src []byte) error {
	copy(s.mem[first*pageBytes:], src)
	return nil
}

func (s shared) Invalidate(first, n uint64) error {
	clear(s.mem[first*pageBytes : (first+n)*pageBytes])
	return nil
}

// serveAsChild adopts the connection in descriptor 3 with the pages in 4, says so, and serves until it is killed.
func serveAsChild() error {
	store, err := newShared(4)
	if err != nil {
		return err
	}
	s, err := Adopt(3, Config{Pages: adoptPages, Threads: 2, SpinMax: 50 * time.Microsecond, NewStore: func() Store { return store }})
	if err != nil {
		return err
	}
	if s.File() != nil {
		return errors.New("an adopted server has a file")
	}
	if _, err := os.Stdout.Write([]byte("s")); err != nil {
		return err
	}
	<-s.Gone()
	return s.Close()
}

// startChild starts a child that adopts, and waits until it serves.
func startChild(t *testing.T, conn, mem *os.File) *exec.Cmd {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"=1")
	child.ExtraFiles = []*os.File{conn, mem}
	child.Stderr = os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatalf("child does not serve: %v", err)
	}
	return child
}

// Servers are killed under I/O, again and again, while this process holds the connection; a new one adopts it.
// No request may fail and no page may be wrong.
func TestAdoptAfterKill(t *testing.T) {
	needRoot(t)
	kills := 30
	if testing.Short() {
		kills = 5
	}
	seed := seed(t)
	memfd, err := unix.MemfdCreate("zswapd-test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	mem := os.NewFile(uintptr(memfd), "memfd")
	defer mem.Close()
	if err := mem.Truncate(adoptPages * pageBytes); err != nil {
		t.Fatal(err)
	}
	s := mount(t, newMemory(), Config{Pages: adoptPages})
	if !s.Stats().Resend {
		t.Skip("needs a kernel that can resend (Linux 6.9)")
	}
	s.Stop() // the connection stays, and nobody serves it
	dup, err := unix.Dup(s.Fd())
	if err != nil {
		t.Fatal(err)
	}
	conn := os.NewFile(uintptr(dup), "/dev/fuse")
	defer conn.Close()

	child := startChild(t, conn, mem)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	steps := make([]int, adoptClients)
	for i := range adoptClients {
		c := newClient(t, s.File(), seed, uint64(i))
		wg.Go(func() {
			for op := uint64(0); ; op++ {
				select {
				case <-stop:
					if err := errors.Join(c.check(0, maxPages), c.check(maxPages, maxPages)); err != nil {
						t.Errorf("client %d, at the end: %v", i, err)
					}
					steps[i] = int(op)
					return
				default:
				}
				if err := c.step(op); err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(seed, 99))
	for range kills {
		time.Sleep(time.Duration(10+r.IntN(40)) * time.Millisecond)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // "signal: killed"
		child = startChild(t, conn, mem)
	}
	close(stop)
	wg.Wait()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	t.Logf("%d kills, %d operations", kills, steps)
}

// Linux before 6.9 knows no resend, and answers EINVAL, as a timerfd does to any write: the server serves all the same, and says so.
func TestAdoptWithoutResend(t *testing.T) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Adopt(fd, Config{Pages: 1024, NewStore: func() Store { return refuser{} }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Stats().Resend {
		t.Error("it says that the kernel sends again what was read")
	}
}
