package trace

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Reader reads a trace, a block at a time. It believes nothing: any input gives events that fit Meta.Slots, or an error,
// and memory is bounded by the window, a block and its events, some 100 MiB.
type Reader struct {
	r      *bufio.Reader
	unpack *zstd.Decoder
	meta   Meta
	pos    position
	window recent
	packed []byte
	raw    []byte
	end    error // of the trace, once it was met
}

// NewReader reads the header of a trace.
func NewReader(r io.Reader) (*Reader, error) {
	t := &Reader{r: bufio.NewReaderSize(r, 1<<20)}
	var err error
	if t.meta, err = readHeader(t.r); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	t.unpack, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlockBytes), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	return t, nil
}

// Meta returns what the trace says about itself.
func (t *Reader) Meta() Meta { return t.meta }

// Close frees what the reader holds. What it reads from stays open.
func (t *Reader) Close() { t.unpack.Close() }

// Next returns the events of the next block. At the end of the trace the error is io.EOF; ErrTruncated if recording
// was broken off, ErrCorrupt at a damaged block: then nothing more can be read. Pages must not be written to.
func (t *Reader) Next() ([]Event, error) {
	if t.end != nil {
		return nil, t.end
	}
	events, err := t.next()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			err = fmt.Errorf("trace: %w", err)
		}
		t.end = err
		return nil, err
	}
	if last := len(events) - 1; events[last].Op == End {
		t.end = io.EOF
		if _, err := t.r.ReadByte(); err != io.EOF {
			t.end = fmt.Errorf("trace: %w: something follows its end", ErrCorrupt)
		}
	}
	return events, nil
}

func (t *Reader) next() ([]Event, error) {
	var head [blockHeadBytes]byte
	if _, err := io.ReadFull(t.r, head[:]); err != nil {
		return nil, cut(err)
	}
	number := func(i int) int64 { return int64(binary.LittleEndian.Uint32(head[4*i:])) }
	events, pages, packed := number(0), number(1), number(2)
	if events == 0 || events > maxBlockEvents || pages > maxBlockPages || packed > events+pages*PageSize {
		return nil, fmt.Errorf("%w: a block of %d bytes of events and %d pages, %d bytes packed", ErrCorrupt, events, pages, packed)
	}
	t.packed = append(t.packed[:0], head[:]...)
	if err := t.fill(packed); err != nil {
		return nil, err
	}
	if uint32(number(3)) != blockSum(t.packed) {
		return nil, fmt.Errorf("%w: a block has a wrong checksum", ErrCorrupt)
	}
	raw := t.packed[blockHeadBytes:]
	if packed != events+pages*PageSize {
		var err error
		if raw, err = t.unpack.DecodeAll(raw, t.raw[:0]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		t.raw = raw
	}
	if int64(len(raw)) != events+pages*PageSize {
		return nil, fmt.Errorf("%w: a block has %d bytes, and says %d", ErrCorrupt, len(raw), events+pages*PageSize)
	}
	list, err := t.decode(source(raw[:events]), raw[events:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return list, nil
}

// fill reads so many bytes after the head of a block, in steps: a length that lies costs no memory.
func (t *Reader) fill(n int64) error {
	const step = 256 << 10
	for n > 0 {
		at := len(t.packed)
		t.packed = append(t.packed, make([]byte, min(n, step))...)
		if _, err := io.ReadFull(t.r, t.packed[at:]); err != nil {
			return cut(err)
		}
		n -= int64(len(t.packed) - at)
	}
	return nil
}

// cut turns the end of the file, met before the end of the trace, into ErrTruncated.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	return err
}

// decode turns a block into events. Pages are copied: they are referred to later, the buffer is not ours to keep.
func (t *Reader) decode(s source, pages []byte) (list []Event, err error) {
	fresh := append([]byte(nil), pages...)
	for len(s) > 0 {
		e, err := t.pos.readHead(&s, t.meta.Slots)
		if err != nil {
			return nil, err
		}
		if e.Op == Store {
			if fresh, err = t.pages(&s, &e, fresh); err != nil {
				return nil, err
			}
		}
		list = append(list, e)
		if e.Op == End && len(s) > 0 {
			return nil, fmt.Errorf("%w: one after the end", errEvent)
		}
	}
	if len(fresh) > 0 {
		return nil, fmt.Errorf("%w: %d pages are nobody's", errEvent, len(fresh)/PageSize)
	}
	return list, nil
}

// pages reads what a store says of its pages, and returns the new pages that are left.
func (t *Reader) pages(s *source, e *Event, fresh []byte) ([]byte, error) {
	for range e.Count {
		n, err := s.uvarint()
		if err != nil {
			return nil, err
		}
		switch {
		case !t.meta.Pages:
			if n > PageSize {
				return nil, fmt.Errorf("%w: a page of %d bytes", errEvent, n)
			}
			e.Sizes = append(e.Sizes, uint16(n))
			continue
		case n == 0:
			if len(fresh) == 0 {
				return nil, fmt.Errorf("%w: a page that is not there", errEvent)
			}
			t.window.add(fresh[:PageSize:PageSize])
			fresh = fresh[PageSize:]
			n = 1
		}
		page := t.window.back(n)
		if page == nil {
			return nil, fmt.Errorf("%w: the page %d before the first", errEvent, n)
		}
		e.Pages = append(e.Pages, page)
	}
	return fresh, nil
}
