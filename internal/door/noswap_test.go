package door

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/swapdev"
	"github.com/zswapd/zswapd/zpool"
)

// Memory of a store that nobody has locked, as after the death of its process, is not swapped out, even if the kernel is
// asked to. It would go to the device whose store it is, and whoever recovers it would wait for himself.
func TestStoreIsNotSwappedOut(t *testing.T) {
	needKeepable(t)
	p := prepare(t)
	o := p.options()
	o.Priority = swapdev.MaxPriority
	var err error
	p.door, err = Open(o) // so that there is swap, and somebody who serves it
	noErr(t, err)
	defer func() {
		noErr(t, p.door.Close(context.Background(), swapdev.OffOptions{}))
		p.end(t)
	}()
	fd, size := deadStore(t)
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_NORESERVE)
	noErr(t, err)
	defer unix.Munmap(mem)
	noErr(t, unix.Munlock(mem))
	pages := 0
	for at := int64(0); ; {
		if at, err = unix.Seek(fd, at, unix.SEEK_DATA); err != nil {
			break // the end
		}
		end, err := unix.Seek(fd, at, unix.SEEK_HOLE)
		noErr(t, err)
		noErr(t, unix.Madvise(mem[at:end], unix.MADV_POPULATE_READ))
		noErr(t, unix.Madvise(mem[at:end], unix.MADV_PAGEOUT))
		pages, at = pages+int(end-at)/zpool.PageSize, end
	}
	if out := swappedOut(t, mem); out != "0 kB" || pages < 64 {
		t.Errorf("%s of a store of %d pages are swapped out", out, pages)
	}
}

// deadStore returns a store with some pages in it that nobody has mapped.
func deadStore(t *testing.T) (fd, size int) {
	t.Helper()
	pool, err := zpool.New(poolOptions())
	noErr(t, err)
	w, page := pool.NewWorker(), make([]byte, zpool.PageSize)
	for slot := range uint64(64) {
		for i := range page {
			page[i] = byte(rand.Uint32()) // incompressible
		}
		noErr(t, w.Store(slot, page))
	}
	fd, err = unix.FcntlInt(pool.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	noErr(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	noErr(t, pool.Close())
	var st unix.Stat_t
	noErr(t, unix.Fstat(fd, &st))
	return fd, int(st.Size)
}

// swappedOut returns what the kernel says about a mapping of ours, such as "0 kB".
func swappedOut(t *testing.T, mem []byte) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	noErr(t, err)
	_, rest, found := strings.Cut(string(text), "\n"+strings.TrimPrefix(fmt.Sprintf("%p", mem), "0x")+"-")
	_, rest, _ = strings.Cut(rest, "\nSwap:")
	value, _, ends := strings.Cut(rest, "\n")
	if !found || !ends {
		t.Fatal("the mapping is not in smaps")
	}
	return strings.TrimSpace(value)
}
