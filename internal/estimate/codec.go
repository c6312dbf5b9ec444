package estimate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/histogram"
	"github.com/zswapd/zswapd/internal/report"
	"github.com/zswapd/zswapd/zpool"
)

// Codec is what one codec made of the sample.
type Codec struct {
	Codec               string           `json:"codec"`
	UnitBytes           int64            `json:"unit_bytes"`           // what is compressed together: a page, or a cluster
	Ratio               float64          `json:"ratio"`                // 0: all pages are same-filled
	Margin              float64          `json:"margin"`               // 0.02: the ratio is known to 2 %; 0: all pages were looked at
	EffectiveRatio      float64          `json:"effective_ratio"`      // 0 for clusters: the pool has none
	IncompressiblePages int64            `json:"incompressible_pages"` // kept as they are
	Store               report.Quantiles `json:"store_ns"`             // of a page
	Load                report.Quantiles `json:"load_ns"`              // of a page; of the whole cluster, which a fault needs
}

// name returns the codec as people read it.
func (c *Codec) name() string {
	if c.UnitBytes == pageSize {
		return c.Codec
	}
	return fmt.Sprintf("%s, %s", c.Codec, report.Bytes(c.UnitBytes))
}

const (
	dense        = "zstd"       // what clusters are measured with
	clusterBytes = 4 * pageSize //
	minTimes     = 1000         // pages that are timed at least, again and again if there are fewer
	poolRoom     = 16 << 20     // bytes of a pool beside its pages: tables, slack
)

// codecs are those that are measured page by page.
var codecs = []string{"lz4", "s2", "minlz:0", "minlz", dense}

// sizes are what a codec made of each run, for the ratio and its margin.
type sizes struct {
	pages, bytes []float64 // pages that are not same-filled, and compressed bytes
}

func (s *sizes) add(pages, bytes int) {
	s.pages, s.bytes = append(s.pages, float64(pages)), append(s.bytes, float64(bytes))
}

// ratio returns the ratio, and its margin for a sample of a share of all pages.
func (s *sizes) ratio(share float64) (ratio, margin float64) {
	var pages, bytes, squares float64
	for i := range s.pages {
		pages, bytes = pages+s.pages[i], bytes+s.bytes[i]
	}
	if bytes == 0 {
		return 0, 0
	}
	for i := range s.pages {
		d := s.bytes[i] - bytes/pages*s.pages[i]
		squares += d * d
	}
	n := float64(len(s.pages))
	if share < 1 && n > 1 {
		margin = 1.96 * math.Sqrt((1-share)*n/(n-1)*squares) / bytes
	}
	return pages * pageSize / bytes, margin
}

// measure stores all pages in a new pool and loads them again. share is that of the sample in all pages.
func measure(ctx context.Context, codec string, s *sample, share float64) (c Codec, err error) {
	n := s.pages()
	p, err := zpool.New(zpool.Options{Slots: uint64(n), MaxBytes: n*(pageSize+pageSize/32) + poolRoom, Compressor: codec})
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	w := p.NewWorker()
	var sz sizes
	var page [pageSize]byte
	defer clear(page[:])
	for round := int64(0); round == 0 || round*n < minTimes; round++ {
		slot, before := uint64(0), int64(0)
		for _, r := range s.runs {
			if err := context.Cause(ctx); err != nil {
				return c, err
			}
			for at := 0; at < len(r.pages); at, slot = at+pageSize, slot+1 {
				if err := w.Store(slot, r.pages[at:at+pageSize]); err != nil {
					return c, fmt.Errorf("%s: page %d of the sample: %w", codec, slot, err)
				}
			}
			if round == 0 {
				st := p.Stats()
				sz.add(len(r.others)/pageSize, int(st.CompressedBytes-before-patterns(r)))
				before = st.CompressedBytes
			}
		}
		slot = 0
		for _, r := range s.runs {
			for at := 0; at < len(r.pages); at, slot = at+pageSize, slot+1 {
				if err := w.Load(slot, page[:]); err != nil || !bytes.Equal(page[:], r.pages[at:at+pageSize]) {
					return c, fmt.Errorf("%s: page %d of the sample does not come back: %v", codec, slot, err)
				}
			}
		}
	}
	st := p.Stats()
	c = Codec{
		Codec: p.Compressor(), UnitBytes: pageSize, IncompressiblePages: st.IncompressiblePages,
		EffectiveRatio: float64(st.StoredPages*pageSize) / float64(st.MemoryBytes),
		Store:          report.QuantilesOf(&st.StoreTime), Load: report.QuantilesOf(&st.LoadTime),
	}
	c.Ratio, c.Margin = sz.ratio(share)
	return c, nil
}

// patterns returns the bytes of the objects that same-filled pages need: 8 for a pattern that does not fit a slot word.
func patterns(r run) (n int64) {
	for at := 0; at < len(r.pages); at += pageSize {
		page := r.pages[at : at+pageSize]
		if bytes.Equal(page[8:], page[:pageSize-8]) && !bytes.Equal(page[:4], page[4:8]) {
			n += 8
		}
	}
	return n
}

// measureClusters compresses neighbours together, beside any pool.
func measureClusters(ctx context.Context, codec string, s *sample, share float64) (c Codec, err error) {
	z, err := compressor.New(codec)
	if err != nil {
		return c, err
	}
	d := compressor.NewDecoders()
	dst, back := make([]byte, z.MaxLen(clusterBytes)), make([]byte, clusterBytes)
	defer clear(dst)
	defer clear(back)
	var stores, loads histogram.Histogram
	var sz sizes
	c = Codec{Codec: z.Name(), UnitBytes: clusterBytes}
	for _, r := range s.runs {
		if err := context.Cause(ctx); err != nil {
			return c, err
		}
		total := 0
		for at := 0; at < len(r.others); at += clusterBytes {
			unit := r.others[at:min(at+clusterBytes, len(r.others))]
			pages := len(unit) / pageSize
			begin := time.Now()
			n := z.Compress(dst, unit)
			stores.ObserveN(time.Since(begin)/time.Duration(pages), uint64(pages))
			if n == 0 {
				c.IncompressiblePages += int64(pages)
				total += len(unit)
				continue
			}
			total += n
			begin = time.Now()
			err := d.Decompress(z.ID(), back[:len(unit)], dst[:n])
			loads.ObserveN(time.Since(begin), uint64(pages))
			if err != nil || !bytes.Equal(back[:len(unit)], unit) {
				return c, fmt.Errorf("%s: a cluster of the sample does not come back: %v", codec, err)
			}
		}
		sz.add(len(r.others)/pageSize, total)
	}
	out, in := stores.Snapshot(), loads.Snapshot()
	c.Store, c.Load = report.QuantilesOf(&out), report.QuantilesOf(&in)
	c.Ratio, c.Margin = sz.ratio(share)
	return c, nil
}
