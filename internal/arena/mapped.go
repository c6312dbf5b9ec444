package arena

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapped is an arena in a memfd, mapped shared over its whole length.
type mapped struct {
	mem []byte
	f   *os.File
}

func newMapped(name string, size int64, budget *Budget) (*Arena, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := f.Truncate(roundUp(size, ChunkSize)); err != nil {
		f.Close()
		return nil, fmt.Errorf("reserve %d bytes: %w", size, err)
	}
	// Nobody who is handed the file may cut it under the mapping: that would be a SIGBUS.
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		f.Close()
		return nil, fmt.Errorf("seal the memory file: %w", err)
	}
	return openMapped(f, budget)
}

func openMapped(f *os.File, budget *Budget) (*Arena, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := st.Size()
	if size == 0 || size%ChunkSize != 0 {
		return nil, fmt.Errorf("memory file of %d bytes: want a multiple of %d", size, ChunkSize)
	}
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil || seals&unix.F_SEAL_SHRINK == 0 {
		return nil, errors.New("the memory file is not sealed against shrinking: not one of ours")
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	if err := unix.Madvise(mem, unix.MADV_DONTDUMP); err != nil {
		unix.Munmap(mem)
		return nil, fmt.Errorf("keep the arena out of core dumps: %w", err)
	}
	return &Arena{budget: budget, size: size, base: addressOf(mem), memory: &mapped{mem: mem, f: f}}, nil
}

func (m *mapped) commit(off, n int64) error {
	for {
		err := unix.Madvise(m.mem[off:off+n], unix.MADV_POPULATE_WRITE)
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

func (m *mapped) file() *os.File { return m.f }

func (m *mapped) close() error {
	err := unix.Munmap(m.mem)
	m.mem = nil
	return errors.Join(err, m.f.Close())
}
