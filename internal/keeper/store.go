package keeper

import "golang.org/x/sys/unix"

// maxHeld bounds the descriptors in store.
const maxHeld = 64

// store is what is held for the daemon, in the order in which it came.
type store struct{ held []held }

type held struct {
	name string
	fd   int
}

// add takes a descriptor; -1 is none.
func (s *store) add(name string, fd int) {
	switch {
	case fd < 0:
	case len(s.held) == maxHeld:
		_ = unix.Close(fd)
	default:
		s.held = append(s.held, held{name, fd})
	}
}

func (s *store) remove(name string) {
	rest := s.held[:0]
	for _, h := range s.held {
		if h.name == name {
			_ = unix.Close(h.fd)
		} else {
			rest = append(rest, h)
		}
	}
	s.held = rest
}

func (s *store) removeAll() {
	for _, h := range s.held {
		_ = unix.Close(h.fd)
	}
	s.held = nil
}

func (s *store) empty() bool { return len(s.held) == 0 }

func (s *store) list() (names []string, fds []uintptr) {
	for _, h := range s.held {
		names, fds = append(names, h.name), append(fds, uintptr(h.fd))
	}
	return names, fds
}
