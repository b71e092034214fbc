/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * delay_line_hold DEVICE egress|ingress DELAY_US JITTER_US PEER [THREADS]: a delay line with its
 * table in the present namespace until SIGINT or SIGTERM; then its counters. For measuring by hand.
 */
#include "faults/network_delay_line.h"
#include "injector/base/cleanup.h"
#include "injector/kernel/netlink.h"
#include "injector/kernel/nft_match.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK 0x5a5a
#define TAP  "sqdltap"

static int load(char **argv, struct netlink **out, struct error *err)
{
	bool is_ingress = !strcmp(argv[2], "ingress");
	int family = strchr(argv[5], ':') ? AF_INET6 : AF_INET;
	struct nft_batch batch;
	uint8_t peer[16];

	if (inet_pton(family, argv[5], peer) != 1)
		return error_set(err, EINVAL, "'%s' is no address", argv[5]);
	if (netlink_open_netfilter(-1, out, err))
		return -1;
	nft_batch_begin(&batch);
	nft_add_table(&batch, NFPROTO_NETDEV, "sqdl", NULL);
	nft_add_hook_chain(&batch, &(struct nft_hook_chain){.name = "c",
							    .hook = is_ingress ? NF_NETDEV_INGRESS
									       : NF_NETDEV_EGRESS,
							    .priority = 2147483647,
							    .device = argv[1]});
	nft_rule_begin(&batch, "c");
	nft_match_mark(&batch, UINT32_MAX, MARK);
	nft_set_mark(&batch, UINT32_MAX, 0);
	nft_verdict(&batch, NF_ACCEPT);
	nft_rule_end(&batch, "back");
	nft_rule_begin(&batch, "c");
	nft_match_address(&batch, family, is_ingress ? NFT_SOURCE : NFT_DESTINATION, peer);
	nft_forward(&batch, (int)if_nametoindex(TAP));
	nft_rule_end(&batch, "to the line");
	return nft_commit(*out, &batch, err);
}

static void show(const struct delay_line *line)
{
	struct delay_line_counters c;

	delay_line_counters(line, &c);
	printf("received %" PRIu64 " sent %" PRIu64 " full %" PRIu64 " error %" PRIu64
	       " device %" PRIu64 " foreign %" PRIu64 " queued %" PRIu64 " memory %" PRIu64
	       " KiB processor %.3f s\n",
	       c.received, c.sent, c.dropped_full, c.dropped_error, c.dropped_device, c.foreign,
	       c.queued, c.memory >> 10, (double)c.processor_ns / 1e9);
}

int main(int argc, char **argv)
{
	struct delay_line *line = NULL;
	struct error err = ERROR_INIT;
	struct netem_config effect = {0};
	struct delay_line_config config = {
		.namespace_fd = -1, .effect = &effect, .mark = MARK, .name = TAP};
	struct netlink *table = NULL;
	sigset_t set;
	int signal;

	if (argc != 6 && argc != 7) {
		fprintf(stderr,
			"usage: %s DEVICE egress|ingress DELAY_US JITTER_US PEER [THREADS]\n",
			argv[0]);
		return 64;
	}
	config.interface_index = (int)if_nametoindex(argv[1]);
	config.is_ingress = !strcmp(argv[2], "ingress");
	config.is_loopback = !strcmp(argv[1], "lo");
	config.threads = argc == 7 ? (unsigned)atoi(argv[6]) : 0;
	effect.delay_ns = atoll(argv[3]) * 1000;
	effect.jitter_ns = atoll(argv[4]) * 1000;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (delay_line_prepare(&config, &line, &err) || delay_line_start(line, &err)) {
		fprintf(stderr, "%s\n", err.text);
		delay_line_stop(line);
		return 1;
	}
	if (load(argv, &table, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	while (!sigwait(&set, &signal)) {
		show(line);
		fflush(stdout);
		if (signal != SIGUSR1)
			break;
	}
	netlink_close(table);
	delay_line_stop(line);
	return 0;
}
