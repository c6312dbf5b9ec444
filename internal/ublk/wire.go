package ublk

import "encoding/binary"

// The driver's numbers and layouts, in the kernel's own words (include/uapi/linux/ublk_cmd.h, Linux 6.5).

var native = binary.NativeEndian

// Commands, as ioctl encodes them: direction, size of the structure, 'u', number.
const (
	ctlRead      = 2<<30 | ctlBytes<<16 | 'u'<<8
	ctlReadWrite = 3<<30 | ctlBytes<<16 | 'u'<<8
	ioReadWrite  = 3<<30 | ioBytes<<16 | 'u'<<8

	cmdGetDevInfo        = ctlRead | 0x02
	cmdAddDev            = ctlReadWrite | 0x04
	cmdDelDev            = ctlReadWrite | 0x05
	cmdStartDev          = ctlReadWrite | 0x06
	cmdStopDev           = ctlReadWrite | 0x07
	cmdSetParams         = ctlReadWrite | 0x08
	cmdStartUserRecovery = ctlReadWrite | 0x10
	cmdEndUserRecovery   = ctlReadWrite | 0x11
	cmdGetFeatures       = ctlRead | 0x13
	cmdDelDevAsync       = ctlRead | 0x14 // Linux 6.9

	ioFetchReq          = ioReadWrite | 0x20
	ioCommitAndFetchReq = ioReadWrite | 0x21
)

// Sizes of structures.
const (
	ctlBytes      = 32 // ublksrv_ctrl_cmd: device, queue, length and address of the argument, data
	ioBytes       = 16 // ublksrv_io_cmd: queue, tag, result, address
	infoBytes     = 64 // ublksrv_ctrl_dev_info
	descBytes     = 24 // ublksrv_io_desc
	featuresBytes = 8
	paramsBytes   = 60 // ublk_params with basic and discard
)

// commandAt is where a command's structure begins in a submission.
const commandAt = 48

// Features.
const (
	featureRecovery   = 1 << 3 // UBLK_F_USER_RECOVERY
	featureReissue    = 1 << 4 // UBLK_F_USER_RECOVERY_REISSUE
	featureIoctlCodes = 1 << 6 // UBLK_F_CMD_IOCTL_ENCODE
	featureUserCopy   = 1 << 7 // UBLK_F_USER_COPY

	featuresWanted = featureRecovery | featureReissue | featureIoctlCodes | featureUserCopy
)

// States of a device.
const (
	stateDead     = 0
	stateLive     = 1
	stateQuiesced = 2 // its server is dead
)

// Operations, the low byte of a descriptor's first word.
const (
	opRead        = 0
	opWrite       = 1
	opFlush       = 2
	opDiscard     = 3
	opWriteZeroes = 5
)

const (
	pageBytes   = 4096
	pageShift   = 12
	sectorShift = 9

	// copyAt is where the data of tag 0 begin in the character device; each tag has so much room.
	copyAt   = 0x80000000
	tagShift = 25
)

// info is struct ublksrv_ctrl_dev_info.
type info struct {
	queues, depth, state uint16
	maxBytes             uint32 // of a request
	number               uint32
	flags                uint64
	tag                  uint64 // ublksrv_flags, which the driver keeps for the server
}

func (i *info) encode(b []byte) {
	clear(b[:infoBytes])
	native.PutUint16(b, i.queues)
	native.PutUint16(b[2:], i.depth)
	native.PutUint32(b[8:], i.maxBytes)
	native.PutUint32(b[12:], i.number)
	native.PutUint64(b[24:], i.flags)
	native.PutUint64(b[32:], i.tag)
}

func (i *info) decode(b []byte) {
	*i = info{
		queues: native.Uint16(b), depth: native.Uint16(b[2:]), state: native.Uint16(b[4:]),
		maxBytes: native.Uint32(b[8:]), number: native.Uint32(b[12:]),
		flags: native.Uint64(b[24:]), tag: native.Uint64(b[32:]),
	}
}

// putParams writes struct ublk_params: blocks of a page, discards and zeroing of any length.
func putParams(b []byte, pages uint64, maxPages int) {
	const all = 0xffffffff >> sectorShift
	clear(b[:paramsBytes])
	native.PutUint32(b, paramsBytes)
	native.PutUint32(b[4:], 1|2)                                            // basic and discard
	b[12], b[13], b[14], b[15] = pageShift, pageShift, pageShift, pageShift // logical, physical, optimal, least
	native.PutUint32(b[16:], uint32(maxPages)<<(pageShift-sectorShift))
	native.PutUint64(b[24:], pages<<(pageShift-sectorShift))
	native.PutUint32(b[44:], pageBytes) // granularity
	native.PutUint32(b[48:], all)
	native.PutUint32(b[52:], all)
	native.PutUint16(b[56:], 1) // segments of a discard
}
