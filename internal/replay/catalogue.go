package replay

import (
	"bytes"
	"slices"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/pagegen"
	"github.com/zswapd/zswapd/zpool"
)

// catalogue is generated pages by the bytes that they compress to, for traces that have only those.
type catalogue struct {
	list []sized // by size
	same []byte
}

type sized struct {
	size int
	page []byte
}

const (
	perKind = 256 // pages of each kind: those of a kind spread over some hundred bytes
	near    = 16  // bytes: pages so alike are taken in turn
)

// newCatalogue measures pages with the codec that the trace's were measured with.
func newCatalogue(codec string) (*catalogue, error) {
	zip, err := compressor.New(codec)
	if err != nil {
		return nil, err
	}
	c := &catalogue{same: make([]byte, zpool.PageSize)}
	buf := make([]byte, zip.MaxLen(zpool.PageSize))
	add := func(page []byte) {
		n := zip.Compress(buf, page)
		if n == 0 {
			n = zpool.PageSize
		}
		c.list = append(c.list, sized{n, page})
	}
	for k := range pagegen.Kinds {
		if k == pagegen.Same {
			continue
		}
		for i := range uint64(perKind) {
			page := make([]byte, zpool.PageSize)
			pagegen.Fill(page, k, i/4, i)
			add(page)
		}
	}
	random := make([]byte, zpool.PageSize)
	pagegen.Fill(random, pagegen.Random, 0, 0)
	for n := near; n < zpool.PageSize; n += near { // where no program's pages are: random bytes, and zeros behind them
		page := bytes.Clone(random)
		clear(page[n:])
		add(page)
	}
	slices.SortStableFunc(c.list, func(a, b sized) int { return a.size - b.size })
	return c, nil
}

// page returns a page that compresses to about so many bytes, one of several by number. 0 is a same-filled page.
func (c *catalogue) page(size int, number uint64) []byte {
	if size == 0 {
		return c.same
	}
	at := func(size int) int {
		i, _ := slices.BinarySearchFunc(c.list, size, func(s sized, size int) int { return s.size - size })
		return i
	}
	from, to := at(size-near/2), at(size+near/2+1)
	if from == to { // none is so near: the next larger one, or the largest
		return c.list[min(from, len(c.list)-1)].page
	}
	return c.list[from+int(number%uint64(to-from))].page
}
