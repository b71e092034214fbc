/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What can this kernel do for the network fault? Asked by doing it, see trial.h; a module that the
 * kernel loads for it stays.
 */
#include "faults/network_support.h"

#include "faults/network.h"
#include "faults/network_finding.h"
#include "faults/network_gate.h"
#include "injector/base/cleanup.h"
#include "injector/kernel/link.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/netem.h"
#include "injector/kernel/nft_match.h"
#include "injector/kernel/qdisc.h"
#include "injector/kernel/trial.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static int try_netem(struct netlink *netlink, int index, bool *out_seed, struct error *err)
{
	const struct netem_config config = {.delay_ns = 1000000,
					    .jitter_ns = 1000,
					    .loss_ppb = 1,
					    .has_seed = true,
					    .seed = 1,
					    .limit = 1000};
	int result = qdisc_add_segmenter(netlink, index, QDISC_HANDLE(1), 2000, err);

	if (result == 0)
		result = netem_add(netlink, index, QDISC_HANDLE(1) | 1, QDISC_HANDLE(2), &config,
				   err);
	if (result == 0)
		result = netem_reads_seed(netlink, index, QDISC_HANDLE(1) | 1, out_seed, err);
	return result;
}

static int try_hook(int index, struct error *err)
{
	struct netlink *netlink;
	struct nft_batch batch;
	int result = netlink_open_netfilter(-1, &netlink, err);

	if (result < 0)
		return result;
	nft_batch_begin(&batch);
	nft_add_table(&batch, NFPROTO_NETDEV, "squall_probe", NULL);
	nft_add_hook_chain(&batch, &(struct nft_hook_chain){.name = "probe",
							    .hook = NF_NETDEV_EGRESS,
							    .priority = NETWORK_MAX_HOOK,
							    .device = "lo"});
	nft_rule_begin(&batch, "probe");
	nft_match_packet_share(&batch, NFT_SHARE_ONE / 2);
	nft_verdict(&batch, NF_DROP);
	nft_rule_end(&batch, NULL);
	nft_rule_begin(&batch, "probe");
	nft_forward(&batch, index);
	nft_rule_end(&batch, NULL);
	result = nft_commit(netlink, &batch, err);
	netlink_close(netlink);
	return result;
}

static int try_all(void *answer, struct error *err)
{
	struct network_support *out = answer;
	struct netlink *netlink;
	struct error why = ERROR_INIT;
	int index = 0, result = netlink_open(-1, &netlink, err);

	if (result < 0)
		return result;
	result = link_create_ifb(netlink, "squall0", NETWORK_LINK_GROUP, "squall", &index, &why);
	out->has_ifb = result == 0;
	if (result == 0)
		result = try_netem(netlink, index, &out->has_netem_seed, &why);
	out->has_netem = result == 0;
	out->lacks_netem_for_good = result == -ENOENT || result == -EOPNOTSUPP;
	snprintf(out->netem_reason, sizeof(out->netem_reason), "%.199s", result ? why.text : "");
	if (network_gate_try(netlink, index, &why) == 0)
		out->has_gate = true;
	snprintf(out->gate_reason, sizeof(out->gate_reason), "%.199s",
		 out->has_gate ? "" : why.text);
	netlink_close(netlink);

	result = try_hook(index ? index : 1, &why);
	out->has_hook = result == 0;
	snprintf(out->hook_reason, sizeof(out->hook_reason), "%.199s", result ? why.text : "");
	return 0;
}
_Static_assert(sizeof(struct network_support) <= TRIAL_ANSWER_MAX, "it is the answer of a trial");

/* The ifb module makes ifb0 and ifb1 in the first namespace when it is loaded (numifbs=2,
 * drivers/net/ifb.c), whoever asked for it. Nobody has used them yet, and nobody asked for them:
 * we did. */
static void remove_module_links(void)
{
	static const char *const names[] = {"ifb0", "ifb1"};
	struct netlink *netlink;
	struct link link;
	int fd;

	if (namespace_open_pid(1, &fd, NULL) < 0)
		return;
	if (netlink_open(fd, &netlink, NULL) == 0) {
		for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (link_find(netlink, names[i], &link, NULL) == 0 &&
			    strcmp(link.kind, "ifb") == 0 && !(link.flags & IFF_UP) &&
			    !link.alias[0])
				link_delete(netlink, link.index, NULL);
		netlink_close(netlink);
	}
	close(fd);
}

static bool has_ifb_module(void)
{
	return access("/sys/module/ifb", F_OK) == 0;
}

static int survey(struct network_support *out, struct error *err)
{
	bool was_there = has_ifb_module();
	int result = trial_run(try_all, out, sizeof(*out), err);

	if (!was_there && has_ifb_module())
		remove_module_links();
	return result;
}

/* Plays a kernel without the nf_tables egress hook. */
static bool wishes_gate(void)
{
	const char *wish = getenv("SQUALL_HOOK");

	return wish && strcmp(wish, "clsact") == 0;
}

static void obey_wish(struct network_support *out)
{
	const char *wish = getenv("SQUALL_NETEM");

	if (wish && strcmp(wish, "off") == 0) {
		out->has_netem = false;
		snprintf(out->netem_reason, sizeof(out->netem_reason), "SQUALL_NETEM=off");
	}
	if (wishes_gate()) {
		out->has_hook = false;
		snprintf(out->hook_reason, sizeof(out->hook_reason), "SQUALL_HOOK=clsact");
	}
}

int network_survey_anew(struct network_support *out, struct error *err)
{
	int result = survey(out, err);

	if (result < 0)
		return result;
	network_finding_keep(out);
	obey_wish(out);
	return 0;
}

int network_survey(struct network_support *out, struct error *err)
{
	static struct network_support known;
	static enum { UNKNOWN, RECALLED, SURVEYED } state;

	/* the gate is no part of what is kept: whoever needs it does not mind to wait */
	if (state == UNKNOWN && !wishes_gate() && network_finding_recall(&known))
		state = RECALLED;
	if (state == UNKNOWN || (state == RECALLED && wishes_gate())) {
		int result = survey(&known, err);

		if (result < 0)
			return result;
		network_finding_keep(&known);
		state = SURVEYED;
	}
	*out = known;
	obey_wish(out);
	return 0;
}

/* ID and ID_LIKE of os-release(5), joined. */
static void distribution(char *out, size_t size)
{
	cleanup_file FILE *file = fopen("/etc/os-release", "re");
	char line[256];
	size_t used = 0;

	out[0] = '\0';
	while (file && fgets(line, sizeof(line), file))
		if ((strncmp(line, "ID=", 3) == 0 || strncmp(line, "ID_LIKE=", 8) == 0) &&
		    used < size)
			used += (size_t)snprintf(out + used, size - used, "%s", strchr(line, '='));
}

void network_netem_remedy(char *out, size_t size)
{
	struct utsname kernel;
	char like[256];

	distribution(like, sizeof(like));
	if (uname(&kernel) < 0)
		kernel.release[0] = '\0';
	if (strcasestr(kernel.release, "microsoft"))
		snprintf(out, size,
			 "nothing has to be done; for netem itself build the WSL2 kernel with "
			 "CONFIG_NET_SCH_NETEM and name it in .wslconfig");
	else if (strstr(like, "ubuntu"))
		snprintf(out, size, "apt install linux-modules-extra-%s && modprobe sch_netem",
			 kernel.release);
	else if (strstr(like, "debian") && strstr(kernel.release, "cloud"))
		snprintf(out, size,
			 "apt install linux-image-amd64 (the cloud kernel lacks modules) and boot "
			 "it, then modprobe sch_netem");
	else if (strstr(like, "debian"))
		snprintf(out, size, "modprobe sch_netem; it is in Debian's linux-image-amd64");
	else if (strstr(like, "rhel") || strstr(like, "fedora") || strstr(like, "centos"))
		snprintf(out, size, "dnf install kernel-modules-extra-%s && modprobe sch_netem",
			 kernel.release);
	else
		snprintf(out, size, "modprobe sch_netem, or a kernel with CONFIG_NET_SCH_NETEM");
}
