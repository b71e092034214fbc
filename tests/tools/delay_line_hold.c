/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * delay_line_hold DEVICE egress|ingress DELAY_US JITTER_US MATCH: a delay line with its table in
 * the present namespace until SIGINT or SIGTERM; then its counters. For measuring by hand.
 */
#include "faults/network_delay_line.h"
#include "injector/base/cleanup.h"

#include <inttypes.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK 0x5a5a
#define TAP  "sqdltap"

static int load(struct nft_ctx *table, char **argv)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "table netdev sqdl {\n flags owner;\n chain c {\n"
		 " type filter hook %s device \"%s\" priority 2147483647; policy accept;\n"
		 " meta mark 0x%x meta mark set 0 accept\n %s fwd to \"" TAP "\"\n }\n}\n",
		 argv[2], argv[1], MARK, argv[5]);
	return nft_run_cmd_from_buffer(table, text);
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
	struct nft_ctx *table;
	sigset_t set;
	int signal;

	if (argc != 6) {
		fprintf(stderr, "usage: %s DEVICE egress|ingress DELAY_US JITTER_US MATCH\n",
			argv[0]);
		return 64;
	}
	config.interface_index = (int)if_nametoindex(argv[1]);
	config.is_ingress = !strcmp(argv[2], "ingress");
	config.is_loopback = !strcmp(argv[1], "lo");
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
	table = nft_ctx_new(NFT_CTX_DEFAULT);
	if (load(table, argv))
		return 1;
	printf("ready\n");
	fflush(stdout);
	while (!sigwait(&set, &signal)) {
		show(line);
		fflush(stdout);
		if (signal != SIGUSR1)
			break;
	}
	nft_ctx_free(table);
	delay_line_stop(line);
	return 0;
}
