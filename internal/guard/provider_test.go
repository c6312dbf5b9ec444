package guard

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func policies(t *testing.T) (normal, hurried, providers int) {
	t.Helper()
	err := eachThread(func(_ int, now *unix.SchedAttr) error {
		switch {
		case now.Policy == unix.SCHED_NORMAL:
			normal++
		case now.Policy == unix.SCHED_FIFO && now.Priority == hurryPriority:
			hurried++
		case now.Policy == unix.SCHED_FIFO && now.Priority == providerPriority:
			providers++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return normal, hurried, providers
}

// Hurry and Calm reach all threads, and leave a Provider as it is.
func TestHurryAndCalm(t *testing.T) {
	ready, end := make(chan error), make(chan bool)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		ready <- Provider()
		<-end
	}()
	defer close(end)
	if err := <-ready; err != nil {
		t.Skip("no real-time priority here: ", err)
	}
	if err := Hurry(); err != nil {
		t.Fatal(err)
	}
	_, hurried, providers := policies(t)
	if err := Calm(); err != nil {
		t.Fatal(err)
	}
	normal, left, still := policies(t)
	if hurried == 0 || providers != 1 || left != 0 || still != 1 || normal < hurried {
		t.Errorf("in a hurry: %d threads and %d providers; calm: %d threads, %d in a hurry, %d providers", hurried, providers, normal, left, still)
	}
}
