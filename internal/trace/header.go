package trace

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/zswapd/zswapd/internal/machine"
)

var (
	// ErrFormat is returned, wrapped, for a file that is no trace, or is of a version that is not known.
	ErrFormat = errors.New("no trace of zswapd")
	// ErrTruncated is returned, wrapped, at the end of a trace that lacks its end: what was recorded before is there.
	ErrTruncated = errors.New("the trace is cut off")
	// ErrCorrupt is returned, wrapped, at a block that is damaged; those before are sound.
	ErrCorrupt = errors.New("the trace is damaged")
)

const (
	magic     = "zswaptrc"
	version   = 1
	headBytes = len(magic) + 12
	maxMeta   = 64 << 10 // bytes of JSON
	maxSlots  = 1 << 40
)

// Meta is what a trace says about itself. Fields are added, none is removed or renamed.
type Meta struct {
	Began      time.Time       `json:"began"`
	Command    []string        `json:"command"`
	Slots      uint64          `json:"slots"`       // size of the device in pages
	Compressor string          `json:"compressor"`  // of the pool that served
	LimitBytes int64           `json:"limit_bytes"` // of that pool
	Pages      bool            `json:"pages"`       // the pages are there; otherwise the bytes that each compressed to
	Machine    machine.Machine `json:"machine"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writeHeader writes the first part of a file, and returns its length.
func writeHeader(w io.Writer, m *Meta) (int, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return 0, err
	}
	if len(text) > maxMeta { // only a command can be so long
		short := *m
		short.Command = m.Command[:1]
		if text, err = json.Marshal(&short); err != nil || len(text) > maxMeta {
			return 0, fmt.Errorf("a header of %d bytes: %w", len(text), errors.Join(err, ErrFormat))
		}
	}
	b := append([]byte{}, magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(text, castagnoli))
	return w.Write(append(b, text...))
}

func readHeader(r io.Reader) (m Meta, err error) {
	var head [headBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return m, fmt.Errorf("%w: it has not even a header", ErrFormat)
	}
	number := func(i int) uint32 { return binary.LittleEndian.Uint32(head[len(magic)+4*i:]) }
	if string(head[:len(magic)]) != magic {
		return m, ErrFormat
	}
	if v := number(0); v != version {
		return m, fmt.Errorf("%w: version %d, this program reads version %d", ErrFormat, v, version)
	}
	if number(1) > maxMeta {
		return m, fmt.Errorf("%w: a header of %d bytes", ErrCorrupt, number(1))
	}
	text := make([]byte, number(1))
	if _, err := io.ReadFull(r, text); err != nil {
		return m, fmt.Errorf("%w: within its header", ErrTruncated)
	}
	if crc32.Checksum(text, castagnoli) != number(2) {
		return m, fmt.Errorf("%w: its header", ErrCorrupt)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%w: its header: %w", ErrCorrupt, err)
	}
	if m.Slots == 0 || m.Slots > maxSlots {
		return m, fmt.Errorf("%w: a device of %d slots", ErrCorrupt, m.Slots)
	}
	return m, nil
}
