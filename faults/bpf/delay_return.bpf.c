/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The way back of the delay line: runs at the ingress hook of our own tap, for each packet that the
 * line writes, and sends it on where nftables took it. The mark lets our table pass it once.
 * No BTF and no maps beyond the constants: loads on every kernel with the netdev egress hook.
 */
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 return_index; /* the device it came from */
const volatile __u32 return_flags; /* 0: its egress; BPF_F_INGRESS */
const volatile __u32 return_mark;

SEC("tc")
int delay_return(struct __sk_buff *skb)
{
	/* The tap calls everything not for its own MAC "other host"; lo delivers the type it gets,
	 * and IP drops such packets. Leaving packets of the stack's own are "host". */
	bpf_skb_change_type(skb, PACKET_HOST);
	/* The tap recorded its receive queue 0, which would send everything through transmit queue
	 * 0 of the device; 0 here means "not recorded": spread by flow again. */
	skb->queue_mapping = 0;
	skb->mark = return_mark;
	return bpf_redirect(return_index, return_flags);
}

char delay_return_license[] SEC("license") = "GPL";
