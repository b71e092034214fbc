/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See tap.h. Ioctls on the tap's own descriptor and netlink in its namespace: both act there,
 * whichever namespace this thread is in.
 */
#include "injector/kernel/tap.h"

#include "injector/base/cleanup.h"
#include "injector/kernel/link.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#define CLONE_DEVICE "/dev/net/tun"

/* <linux/if_tun.h> of kernel 6.2; older headers lack them */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

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
	/* What the device cannot do, the kernel does in front of it (validate_xmit_skb()) */
	if (tap->offload != TAP_WHOLE)
		offloads = tap->offload == TAP_CUT ? TUN_F_CSUM : 0;
	else if (tap->has_udp_segmentation)
		return 0;
	return ioctl(fd, TUNSETOFFLOAD, offloads) ? -errno : 0;
}

/* The first descriptor makes the device, the others join it: never somebody's persistent one. */
static int attach(const int *fds, unsigned count, const struct tap *tap)
{
	struct ifreq request = {0};

	memcpy(request.ifr_name, tap->name, sizeof(tap->name));
	request.ifr_flags = (tap->kind == TAP_IP ? IFF_TUN : IFF_TAP) | IFF_NO_PI | IFF_VNET_HDR;
	if (count > 1) /* it costs a little for each packet: look up the flow */
		request.ifr_flags |= IFF_MULTI_QUEUE;
	for (unsigned i = 0; i < count; i++) {
		struct ifreq one = request;

		if (i == 0)
			one.ifr_flags |= (short)IFF_TUN_EXCL;
		if (ioctl(fds[i], TUNSETIFF, &one))
			return -errno;
	}
	return 0;
}

int tap_create(const int *fds, unsigned count, const char *name, enum tap_kind kind,
	       enum tap_offload offload, struct tap *out, struct error *err)
{
	struct tap tap = {.kind = kind, .offload = offload, .queues = count};
	int header = TAP_HEADER_SIZE, unlimited = INT_MAX, status;

	if (!name[0] || strlen(name) >= sizeof(tap.name))
		return error_set(err, EINVAL, "tap: '%s' is no interface name", name);
	memcpy(tap.name, name, strlen(name));
	status = attach(fds, count, &tap);
	if (status)
		return error_errno(err, -status, "cannot make the tap '%s'", name);
	/* of the device: one descriptor speaks for all */
	if (ioctl(fds[0], TUNSETVNETHDRSZ, &header) || ioctl(fds[0], TUNSETSNDBUF, &unlimited))
		return error_errno(err, errno, "cannot set up the tap '%s'", name);
	status = set_offloads(fds[0], &tap);
	if (status)
		return error_errno(err, -status, "cannot set the offloads of the tap '%s'", name);
	status = kind == TAP_ETHERNET ? set_address(fds[0], &tap) : 0;
	if (status)
		return error_errno(err, -status, "cannot set the address of the tap '%s'", name);
	*out = tap;
	return 0;
}

/* Without a queueing discipline: the tap never pushes back, so a queue in front of its ring would
 * only cost time, and one with a mind of its own (net.core.default_qdisc) would drop or pace. */
static int set_noqueue(const struct tap *tap, struct netlink *netlink, struct error *err)
{
	struct tcmsg header = {.tcm_ifindex = tap->index, .tcm_parent = TC_H_ROOT};
	struct netlink_request request;

	netlink_begin(&request, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &header,
		      sizeof(header));
	netlink_put_text(&request, TCA_KIND, "noqueue");
	return netlink_call(netlink, &request, NULL, NULL, err);
}

int tap_bring_up(const struct tap *tap, struct netlink *netlink, struct error *err)
{
	struct ifinfomsg header = {.ifi_index = tap->index,
				   .ifi_flags = IFF_UP | IFF_NOARP,
				   .ifi_change = IFF_UP | IFF_NOARP};
	struct netlink_request request;
	int status;

	netlink_begin(&request, RTM_SETLINK, 0, &header, sizeof(header));
	netlink_put_u32(&request, IFLA_MTU, TAP_MTU);
	netlink_put_u32(&request, IFLA_TXQLEN, TAP_QUEUE / tap->queues);
	status = netlink_call(netlink, &request, NULL, NULL, err);
	return status ? error_prefix(err, "cannot bring up the tap '%s'", tap->name) : 0;
}

int tap_configure(struct tap *tap, struct netlink *netlink, struct error *err)
{
	struct link link;
	int status = link_find(netlink, tap->name, &link, err);

	if (status)
		return status;
	tap->index = link.index;
	status = set_noqueue(tap, netlink, err);
	return status ? error_prefix(err, "cannot set up the tap '%s'", tap->name) : 0;
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
