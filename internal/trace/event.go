package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// PageSize is the size of a page in bytes.
const PageSize = 4096

// Op is what an event did.
type Op uint8

// The numbers are the file's.
const (
	Store      Op = 1 // pages were stored
	Load       Op = 2 // pages were loaded; empty slots, and damaged pages, among them
	Invalidate Op = 3 // slots were emptied
	Refused    Op = 4 // pages were not stored: the pool was full. They are not in the trace
	Gap        Op = 5 // events were dropped here
	End        Op = 6 // recording ended as it should
)

// Event is one call. Its slices are valid for as long as they are kept.
type Event struct {
	Op    Op
	At    time.Duration // since recording began; never less than that of the event before
	First uint64        // slot
	Count uint64        // pages; at most MaxRun for Store, Load and Refused
	Pages [][]byte      // of a Store, Count of them, if the trace has pages
	Sizes []uint16      // otherwise: the bytes that each compressed to, 0 for a same-filled page
	Lost  Lost          // of a Gap
}

// MaxRun is the most pages of one event that names pages: longer calls are several events.
const MaxRun = 256

// Lost is how much was dropped. Stored, Loaded and Invalidated are pages.
type Lost struct{ Events, Stored, Loaded, Invalidated uint64 }

// Add adds more that was lost.
func (l *Lost) Add(m Lost) {
	l.Events += m.Events
	l.Stored += m.Stored
	l.Loaded += m.Loaded
	l.Invalidated += m.Invalidated
}

// position is what events are written relative to. It starts anew with each file.
type position struct {
	at   time.Duration
	slot uint64 // the one after the last
}

// appendHead appends all of an event but what it says of its pages.
func (p *position) appendHead(b []byte, e *Event) []byte {
	b = append(b, byte(e.Op))
	b = binary.AppendUvarint(b, uint64(max(e.At-p.at, 0)))
	p.at = max(e.At, p.at)
	switch e.Op {
	case Store, Load, Invalidate, Refused:
		b = binary.AppendVarint(b, int64(e.First-p.slot))
		b = binary.AppendUvarint(b, e.Count)
		p.slot = e.First + e.Count
	case Gap:
		for _, n := range []uint64{e.Lost.Events, e.Lost.Stored, e.Lost.Loaded, e.Lost.Invalidated} {
			b = binary.AppendUvarint(b, n)
		}
	case End:
	default:
		panic(fmt.Sprintf("trace: an event of op %d", e.Op))
	}
	return b
}

// errEvent is wrapped by all errors about a block whose checksum is right and whose events are not.
var errEvent = errors.New("bad event")

// source is the bytes of events that are still to be read.
type source []byte

func (s *source) uvarint() (uint64, error) {
	v, n := binary.Uvarint(*s)
	if n <= 0 {
		return 0, fmt.Errorf("%w: a number is cut off", errEvent)
	}
	*s = (*s)[n:]
	return v, nil
}

func (s *source) varint() (int64, error) {
	v, n := binary.Varint(*s)
	if n <= 0 {
		return 0, fmt.Errorf("%w: a number is cut off", errEvent)
	}
	*s = (*s)[n:]
	return v, nil
}

// maxTime bounds times, so that they can be added up.
const maxTime = 1 << 62

// readHead reads what appendHead wrote, and checks it against a device of so many slots.
func (p *position) readHead(s *source, slots uint64) (e Event, err error) {
	e.Op = Op((*s)[0])
	*s = (*s)[1:]
	since, err := s.uvarint()
	if err != nil {
		return e, err
	}
	if since > maxTime-uint64(p.at) {
		return e, fmt.Errorf("%w: a time too long", errEvent)
	}
	p.at += time.Duration(since)
	e.At = p.at
	switch e.Op {
	case Store, Load, Invalidate, Refused:
		return e, p.readRange(s, &e, slots)
	case Gap:
		for _, n := range []*uint64{&e.Lost.Events, &e.Lost.Stored, &e.Lost.Loaded, &e.Lost.Invalidated} {
			if *n, err = s.uvarint(); err != nil {
				return e, err
			}
		}
		return e, nil
	case End:
		return e, nil
	}
	return e, fmt.Errorf("%w: op %d", errEvent, e.Op)
}

func (p *position) readRange(s *source, e *Event, slots uint64) error {
	step, err := s.varint()
	if err != nil {
		return err
	}
	if e.Count, err = s.uvarint(); err != nil {
		return err
	}
	e.First = p.slot + uint64(step)
	most := slots
	if e.Op != Invalidate {
		most = min(most, MaxRun)
	}
	if e.Count == 0 || e.Count > most || e.First > slots-e.Count {
		return fmt.Errorf("%w: %d pages at slot %d of %d", errEvent, e.Count, e.First, slots)
	}
	p.slot = e.First + e.Count
	return nil
}
