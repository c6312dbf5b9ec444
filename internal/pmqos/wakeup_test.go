package pmqos

import (
	"runtime"
	"testing"
	"time"
)

func TestWakeUp(t *testing.T) {
	d, err := WakeUp()
	if runtime.NumCPU() < 2 {
		if err == nil {
			t.Error("measured on one CPU")
		}
		return
	}
	if err != nil || d < 100*time.Nanosecond || d > time.Second {
		t.Errorf("waking a thread takes %v (%v)", d, err)
	}
	t.Logf("waking a thread on another CPU takes %v", d)
}
