// Package ublk serves pages as a block device through the kernel's ublk driver (Linux 6.5), with nothing in between.
//
//	/dev/ublkbN ─► request ─► its tag's command completes ─► queue thread ─► Store
//	                              ▲                              │
//	                              └── commit: answer, and ask ◄──┘      all over one io_uring
//
// On the way of a request the kernel allocates nothing: requests, commands and completions are there beforehand, and what is
// copied goes straight between the pages and a buffer of ours that is present. So this door, other than FUSE with its loop
// device, works when the machine has no free page: what it is made for.
//
//	New      threads, rings, buffers: all that it takes but a device
//	Create   a device of that, which is served from then on        or  Recover  one whose server is dead
//	Stop     leaves the device to a successor                      or  Delete   takes it away
//
// # Being replaced
//
// The device is made with user recovery and re-issue: when its server dies, the requests that it had taken go back into the
// queue, and all wait until the next server has said that it is there. Nothing of the old server need be kept but the number
// of the device. Serving a request twice does no harm, see fuse.Adopt; here the old server is always dead by then.
//
// The recovery can be killed, too, at any step, and begun again. That holds only with these three in place, because the driver
// (6.12) was not made for it:
//
//   - There is one queue. With two, a server killed between them would leave a state in which the kernel's next recovery
//     follows a null pointer.
//   - All tags are fetched in one system call, and the descriptors are mapped after it. Killed in between, the driver would
//     take neither the next server's mapping nor a new recovery.
//   - There is one tag more than the block layer may use (Depth in nr_requests). A server killed with every tag in its hands
//     has no command waiting that tells the driver of its death; it would notice when a request times out, after 30 s.
//
// # Order and waiting
//
// One thread serves all requests, reads before others that came with them. It never spins.
package ublk
