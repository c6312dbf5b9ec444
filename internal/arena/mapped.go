package arena

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapped is an arena in a memory file, mapped shared over its whole length.
type mapped struct {
	mem []byte
	f   *os.File
}

func newMapped(name string, size int64, budget *Budget) (*Arena, error) {
	f, err := MemoryFile(name)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(roundUp(size, ChunkSize)); err != nil {
		f.Close()
		return nil, fmt.Errorf("reserve %d bytes: %w", size, err)
	}
	a, err := openMapped(f, budget)
	if err == nil {
		a.counted = true // nothing
	}
	return a, err
}

// MemoryFile returns an empty file in memory, without a name, that is never swapped out where that can be had. What a
// process needs before it serves swap must not be anywhere else.
func MemoryFile(name string) (*os.File, error) {
	f, err := noswapFile(name)
	if err != nil { // no privilege, or an old kernel: then a lock has to do, while the process lives
		f, err = memfd(name)
	}
	return f, err
}

func memfd(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// checkFile refuses what cannot be a memory file of ours. Ours have no name: only who is handed the descriptor could cut
// the file under the mapping, which would be a SIGBUS.
func checkFile(f *os.File) (size int64, err error) {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if err := errors.Join(unix.Fstatfs(int(f.Fd()), &fs), unix.Fstat(int(f.Fd()), &st)); err != nil {
		return 0, fmt.Errorf("memory file: %w", err)
	}
	if fs.Type != unix.TMPFS_MAGIC || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 0 {
		return 0, fmt.Errorf("a file of type %#x on file system %#x with %d names: want a memory file of ours", st.Mode, fs.Type, st.Nlink)
	}
	if st.Size == 0 || st.Size%ChunkSize != 0 {
		return 0, fmt.Errorf("memory file of %d bytes: want a multiple of %d", st.Size, ChunkSize)
	}
	return st.Size, nil
}

func openMapped(f *os.File, budget *Budget) (*Arena, error) {
	size, err := checkFile(f)
	if err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	if err := unix.Madvise(mem, unix.MADV_DONTDUMP); err != nil {
		unix.Munmap(mem)
		return nil, fmt.Errorf("keep the arena out of core dumps: %w", err)
	}
	return &Arena{budget: budget, size: size, base: addressOf(mem), memory: wrap(&mapped{mem: mem, f: f})}, nil
}

func (m *mapped) commit(off, n int64) error { return m.populate(off, n, unix.MADV_POPULATE_WRITE) }

func (m *mapped) populate(off, n int64, advice int) error {
	for {
		err := unix.Madvise(m.mem[off:off+n], advice)
		if err != unix.EINTR && err != unix.EAGAIN {
			return err
		}
	}
}

func (m *mapped) release(off, n int64) error {
	for {
		err := unix.Fallocate(int(m.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
		if err != unix.EINTR {
			return err
		}
	}
}

func (m *mapped) resident(off, n int64, visit func(off, n int64)) error {
	fd, end := int(m.f.Fd()), off+n
	for off < end {
		data, err := unix.Seek(fd, off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && data >= end {
			return nil // only a hole is left
		}
		if err != nil {
			return fmt.Errorf("seek data: %w", err)
		}
		hole, err := unix.Seek(fd, data, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("seek hole: %w", err)
		}
		off = min(hole, end)
		visit(data, off-data)
	}
	return nil
}

// tableBytes is what one page of page tables maps, on x86-64 and with pages of 4 KiB on arm64.
const tableBytes = 2 << 20

// mapTables touches one page of each range that has a page table of its own. Such a range begins at an address that is a multiple of its
// size, which the arena's first one may not be.
func (m *mapped) mapTables() error {
	base := numberOf(m.mem)
	for off, end := int64(0), int64(len(m.mem)); off < end; {
		data, err := unix.Seek(int(m.f.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // only a hole is left
		}
		if err != nil {
			return fmt.Errorf("seek data: %w", err)
		}
		if err := m.populate(data, FrameSize, unix.MADV_POPULATE_READ); err != nil {
			return fmt.Errorf("map page tables: %w", err)
		}
		off = ((base+data)/tableBytes+1)*tableBytes - base
	}
	return nil
}

func (m *mapped) file() *os.File { return m.f }

func (m *mapped) close() error {
	err := unix.Munmap(m.mem)
	m.mem = nil
	return errors.Join(err, m.f.Close())
}
