package trace

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/zswapd/zswapd/compressor"
)

// Limits of a block. They bound what a reader needs.
const (
	maxBlockEvents = 256 << 10 // bytes
	maxBlockPages  = 1024
	maxBlockBytes  = maxBlockEvents + maxBlockPages*PageSize
	blockHeadBytes = 16

	// maxEvent is more bytes than one event takes: op, time, slot, count, and a reference of 3 bytes for each page.
	maxEvent = 64 + 3*MaxRun
)

// Writer writes a trace. Its methods are for one goroutine at a time; Write allocates nothing once it has warmed up.
type Writer struct {
	w      io.Writer
	pack   *zstd.Encoder
	sizes  *sizer // nil: the pages are written
	pos    position
	window distinct
	events []byte // of the block to come
	pages  []byte // likewise, the new ones
	out    []byte
	bytes  int64 // written
	blocks int   // written, whole ones
	hurry  bool  // blocks are written as they are: the disk is faster than the compressor
}

// NewWriter writes the header of a trace to w. Without m.Pages, pages are measured with the codec m.Compressor.
func NewWriter(w io.Writer, m Meta) (*Writer, error) {
	t := &Writer{w: w, window: newDistinct()}
	if !m.Pages {
		codec, err := compressor.New(m.Compressor)
		if err != nil {
			return nil, fmt.Errorf("trace: %w", err)
		}
		t.sizes = newSizer(codec)
	}
	var err error
	t.pack, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(4<<20), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	t.events, t.pages = make([]byte, 0, maxBlockEvents), make([]byte, 0, maxBlockPages*PageSize)
	t.out = make([]byte, 0, blockHeadBytes+maxBlockBytes+maxBlockBytes/64)
	n, err := writeHeader(w, &m)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	t.bytes = int64(n)
	return t, nil
}

// Write adds an event. That of a Store has Pages, whatever the trace keeps of them; they are copied.
func (t *Writer) Write(e *Event) error {
	if len(t.events) > maxBlockEvents-maxEvent || len(t.pages) > (maxBlockPages-MaxRun)*PageSize {
		if err := t.Flush(); err != nil {
			return err
		}
	}
	t.events = t.pos.appendHead(t.events, e)
	if e.Op != Store {
		return nil
	}
	if e.Count > MaxRun || uint64(len(e.Pages)) != e.Count {
		panic(fmt.Sprintf("trace: a store of %d pages with %d", e.Count, len(e.Pages)))
	}
	for _, page := range e.Pages {
		t.page(page)
	}
	return nil
}

func (t *Writer) page(page []byte) {
	if t.sizes != nil {
		t.events = binary.AppendUvarint(t.events, uint64(t.sizes.size(page)))
		return
	}
	back := t.window.find(page)
	t.events = binary.AppendUvarint(t.events, back)
	if back == 0 {
		t.pages = append(t.pages, page...)
	}
}

// Flush writes what there is as a block.
func (t *Writer) Flush() error {
	if len(t.events) == 0 {
		return nil
	}
	head := [3]uint32{uint32(len(t.events)), uint32(len(t.pages) / PageSize)}
	t.events = append(t.events, t.pages...) // a copy of 4 MiB at most, small beside the compression
	b := t.out[:blockHeadBytes]
	if !t.hurry {
		b = t.pack.EncodeAll(t.events, b)
	}
	if t.hurry || len(b)-blockHeadBytes >= len(t.events) {
		b = append(b[:blockHeadBytes], t.events...)
	}
	t.events, t.pages, t.out = t.events[:0], t.pages[:0], b[:0]
	head[2] = uint32(len(b) - blockHeadBytes)
	for i, n := range head {
		binary.LittleEndian.PutUint32(b[4*i:], n)
	}
	binary.LittleEndian.PutUint32(b[12:], blockSum(b))
	n, err := t.w.Write(b)
	t.bytes += int64(n)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	t.blocks++
	return nil
}

// blockSum is the checksum of a block, that field itself left out.
func blockSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[blockHeadBytes:])
}

// Bytes returns how much was written.
func (t *Writer) Bytes() int64 { return t.bytes }

// Close writes the end of the trace. What w is stays open.
func (t *Writer) Close() error {
	if err := t.Write(&Event{Op: End, At: t.pos.at}); err != nil {
		return err
	}
	return t.Flush()
}
