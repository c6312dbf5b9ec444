package bell

import (
	"sync"
	"sync/atomic"
	"testing"
)

// No ring between Expect and Wait is lost: as much is done as was asked for, by one who sleeps in between.
func TestNoRingIsLost(t *testing.T) {
	b, err := New()
	if err != nil {
		t.Fatal(err)
	}
	const ringers, each = 4, 5000
	var asked, done atomic.Int64
	var all sync.WaitGroup
	finished := make(chan bool)
	go func() {
		defer close(finished)
		for done.Load() < ringers*each {
			b.Expect()
			if asked.Load() > done.Load() {
				b.Forget()
			} else {
				b.Wait()
			}
			done.Store(asked.Load())
		}
	}()
	for range ringers {
		all.Go(func() {
			for range each {
				asked.Add(1)
				b.Ring()
			}
		})
	}
	all.Wait()
	<-finished // or the test does not end
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
