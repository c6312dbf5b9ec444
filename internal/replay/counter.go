package replay

import (
	"io"
	"sync/atomic"
)

// counter tells how far a file has been read.
type counter struct {
	r    io.Reader
	size int64
	n    atomic.Int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// share returns the part that was read, 0 to 1.
func (c *counter) share() float64 {
	if c.size == 0 {
		return 0
	}
	return min(float64(c.n.Load())/float64(c.size), 1)
}
