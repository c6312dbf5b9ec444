package fuse

import (
	"testing"
	"time"
)

// Each line: how long a wait that blocked took, and the window afterwards.
func TestSpinLearns(t *testing.T) {
	s := spin{max: 50 * time.Microsecond}
	for i, step := range []struct{ waited, window time.Duration }{
		{time.Second, 0},                               // at rest
		{200 * time.Microsecond, 0},                    // too slow to spin for
		{60 * time.Microsecond, 50 * time.Microsecond}, // the wake-up took part of it: traffic
		{time.Millisecond, 25 * time.Microsecond},      // less
		{time.Millisecond, 12500 * time.Nanosecond},    // and less
		{time.Microsecond, 50 * time.Microsecond},      // traffic again
		{time.Second, 25 * time.Microsecond},           //
		{time.Second, 12500 * time.Nanosecond},         //
		{time.Second, 6250 * time.Nanosecond},          //
		{time.Second, 0},                               // below what is worth it
	} {
		if s.learn(step.waited); s.window != step.window {
			t.Fatalf("step %d, after %v: window %v, want %v", i, step.waited, s.window, step.window)
		}
	}
	never := spin{}
	if never.learn(time.Microsecond); never.window != 0 {
		t.Errorf("window %v with a limit of 0", never.window)
	}
}

func TestRunnable(t *testing.T) {
	for line, want := range map[string]int{
		"0.41 0.19 0.10 1/94 8155\n":   1,
		"12.00 9.5 1.0 128/2048 99999": 128,
		"3/4":                          3,
		"":                             0,
		"no slash":                     0,
		"0.1 0.1 0.1 x/94 1":           0,
		"0.1 0.1 0.1 99999999999/94 1": 0,
	} {
		if got := runnable([]byte(line)); got != want {
			t.Errorf("runnable(%q) = %d, want %d", line, got, want)
		}
	}
}

func TestIdleProbeKeepsItsAnswer(t *testing.T) {
	var p idleProbe
	p.init()
	defer p.close()
	p.cpus = 1 << 20 // more than there are tasks
	if !p.ask(0) {
		t.Fatal("no CPU is free")
	}
	p.cpus = 1
	if !p.ask(probeEvery - 1) {
		t.Error("asked again too early")
	}
	if p.ask(probeEvery) {
		t.Error("a single CPU is never free for spinning")
	}
	if n := testing.AllocsPerRun(100, func() { p.asked = -probeEvery; p.cpus = 2; p.ask(0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkIdleProbe(b *testing.B) {
	var p idleProbe
	p.init()
	defer p.close()
	p.cpus = 2
	b.ReportAllocs()
	for b.Loop() {
		p.asked = -probeEvery
		p.ask(0)
	}
}
