/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See tap.h. Only ioctls on the tap's own descriptor: they act in its namespace, whichever one this
 * thread is in.
 */
#include "injector/kernel/tap.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/resource.h>

#define CLONE_DEVICE "/dev/net/tun"
#define HIGH_FD	     512

/* <linux/if_tun.h> of kernel 6.2; older headers lack them */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static int move_high(int *fd)
{
	struct rlimit limit;
	int least = HIGH_FD, high;

	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur <= HIGH_FD + 16)
		least = (int)limit.rlim_cur * 3 / 4;
	high = fcntl(*fd, F_DUPFD_CLOEXEC, least);
	if (high < 0)
		return -errno;
	close(*fd);
	*fd = high;
	return 0;
}

int tap_open(int *out_fd, struct error *err)
{
	cleanup_fd int fd = open(CLONE_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int status;

	if (fd < 0) {
		status = error_errno(err, errno, "cannot open " CLONE_DEVICE);
		if (status == -ENOENT || status == -ENODEV)
			error_remedy(err, "load the module (modprobe tun); in a container, pass "
					  "the device " CLONE_DEVICE " into it");
		else if (status == -EPERM || status == -EACCES)
			error_remedy(err, "in a container, allow the device c 10:200 rw");
		return status;
	}
	status = move_high(&fd);
	if (status)
		return error_errno(err, -status, "cannot renumber the descriptor of " CLONE_DEVICE);
	*out_fd = steal_fd(&fd);
	return 0;
}

/* A MAC that we set is left alone by udev (99-default.link rewrites the kernel's random ones). */
static int set_address(int fd, struct tap *tap)
{
	struct ifreq request = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};

	if (getrandom(tap->address, sizeof(tap->address), 0) != (ssize_t)sizeof(tap->address))
		return -EIO;
	tap->address[0] = (tap->address[0] & 0xfc) | 0x02; /* unicast, locally administered */
	memcpy(request.ifr_hwaddr.sa_data, tap->address, sizeof(tap->address));
	return ioctl(fd, SIOCSIFHWADDR, &request) ? -errno : 0;
}

static int set_offloads(int fd, struct tap *tap)
{
	unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

	tap->has_udp_segmentation = !ioctl(fd, TUNSETOFFLOAD, offloads | TUN_F_USO4 | TUN_F_USO6);
	if (tap->has_udp_segmentation)
		return 0;
	return ioctl(fd, TUNSETOFFLOAD, offloads) ? -errno : 0;
}

int tap_create(int fd, const char *name, enum tap_kind kind, struct tap *out, struct error *err)
{
	struct ifreq request = {0};
	struct tap tap = {0};
	int header = TAP_HEADER_SIZE, unlimited = INT_MAX, status;

	if (!name[0] || strlen(name) >= sizeof(tap.name))
		return error_set(err, EINVAL, "tap: '%s' is no interface name", name);
	memcpy(tap.name, name, strlen(name));
	memcpy(request.ifr_name, tap.name, sizeof(tap.name));
	/* EXCL: never take over somebody's persistent device of that name */
	request.ifr_flags = (kind == TAP_IP ? IFF_TUN : IFF_TAP) | IFF_NO_PI | IFF_VNET_HDR;
	request.ifr_flags |= (short)IFF_TUN_EXCL;
	if (ioctl(fd, TUNSETIFF, &request))
		return error_errno(err, errno, "cannot make the tap '%s'", name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) || ioctl(fd, TUNSETSNDBUF, &unlimited))
		return error_errno(err, errno, "cannot set up the tap '%s'", name);
	status = set_offloads(fd, &tap);
	if (status)
		return error_errno(err, -status, "cannot set the offloads of the tap '%s'", name);
	status = kind == TAP_ETHERNET ? set_address(fd, &tap) : 0;
	if (status)
		return error_errno(err, -status, "cannot set the address of the tap '%s'", name);
	*out = tap;
	return 0;
}

/* As dev_is_mac_header_xmit() in include/linux/if_arp.h, by which bpf_redirect() decides whether it
 * takes the Ethernet header off. */
enum tap_kind tap_kind_for(unsigned type)
{
	switch (type) {
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
	case ARPHRD_VOID:
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
	case ARPHRD_PPP:
		return TAP_IP;
	default:
		return TAP_ETHERNET;
	}
}
