package zpool

import "github.com/zswapd/zswapd/compressor"

// making is a codec that is made beside the recovery of a store: a dense one has megabytes of tables, which take it as long as
// recovery takes for some hundred MiB.
type making struct {
	name string
	done chan struct{} // closed when it is there
	made compressor.Codec
	err  error
}

func makeCodec(name string) *making {
	m := &making{name: name, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		m.made, m.err = compressor.New(name)
	}()
	return m
}

// codec returns a codec of a name: the one that is being made, if it is of that name, else a new one. m may be nil.
func (m *making) codec(name string) (compressor.Codec, error) {
	if m == nil || m.name != name {
		return compressor.New(name)
	}
	<-m.done
	return m.made, m.err
}
