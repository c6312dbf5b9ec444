package ublk

import "testing"

// The numbers as a C compiler makes them of the kernel's header.
func TestCommandNumbers(t *testing.T) {
	for got, want := range map[uint32]uint32{
		cmdGetDevInfo: 0x80207502, cmdAddDev: 0xc0207504, cmdDelDev: 0xc0207505, cmdStartDev: 0xc0207506, cmdStopDev: 0xc0207507,
		cmdSetParams: 0xc0207508, cmdStartUserRecovery: 0xc0207510, cmdEndUserRecovery: 0xc0207511, cmdGetFeatures: 0x80207513,
		ioFetchReq: 0xc0107520, ioCommitAndFetchReq: 0xc0107521,
	} {
		if got != want {
			t.Errorf("%#x, want %#x", got, want)
		}
	}
}

func TestInfo(t *testing.T) {
	want := info{queues: 1, depth: 17, maxBytes: 131072, number: 7, flags: featuresWanted, tag: 0xfedcba9876543210}
	b := make([]byte, infoBytes)
	want.encode(b)
	var got info
	if got.decode(b); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestConfig(t *testing.T) {
	good := Config{Pages: 1, NewStore: func() Store { return nothing{} }}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []Config{
		{NewStore: good.NewStore}, {Pages: 1<<51 + 1, NewStore: good.NewStore}, {Pages: 1}, {Pages: 1, Depth: -1, NewStore: good.NewStore},
		{Pages: 1, Depth: maxDepth + 1, NewStore: good.NewStore}, {Pages: 1, MaxPages: maxMaxPages + 1, NewStore: good.NewStore},
	} {
		if bad.Validate() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}
