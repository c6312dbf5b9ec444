// Package guest tests zswapd in a small virtual machine of its own: what must not be tried on the machine that one works at,
// because it takes a machine's last page, kills what serves its swap, or needs systemd as process 1.
//
//	host                                   guest: Debian, systemd, its own kernel
//	go test -guest ─► image (once) ─► qemu ─► /payload/run ─► this test's binary again, in a role
//	        ▲                          │
//	        └── second serial line ◄───┘   what the payload prints; FAIL at the start of a line fails the test
//
// It is emulated (a host that has KVM is not required), 6 to 19 times slower than the host: a place for behaviour, never for
// figures. Without -guest the tests are skipped.
package guest
