/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `squall doctor`: what this machine can do, asked by trying it (the probe of each fault leaves
 * nothing behind), and the remedy for what it cannot. */
#include "injector/cli/commands.h"

#include "injector/cli/doctor_sandbox.h"
#include "faults/fault.h"
#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/base/page.h"
#include "injector/cli/options.h"
#include "injector/cli/undone.h"
#include "injector/kernel/cgroup.h"
#include "injector/kernel/nft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/utsname.h>
#include <unistd.h>

#define EXIT_UNUSABLE 1

static const char usage[] =
	"usage: squall doctor [--json]\n"
	"       squall doctor --sandbox [--json] [FAULT...]\n"
	"\n"
	"Says what this machine can do: the kernel, the privileges, and for each fault whether\n"
	"it can be injected, in which way, and what to do when it cannot. Needs root to try\n"
	"the faults; changes nothing.\n"
	"\n"
	"  --sandbox   what each process of a run may do (of one with these faults): user,\n"
	"              capabilities, system calls; and whether it is so, by trying it. FAULT+:\n"
	"              with all that its targets can ask for (file+: a mount namespace)\n"
	"  --json      the same as JSON\n"
	"  --help      this text\n"
	"\n"
	"Exit code: 0 every fault is usable (every process confined), 1 at least one is not.\n";

enum finding_kind { FINDING_GOOD, FINDING_BAD, FINDING_UNKNOWN };
static const char *const finding_words[] = {"ok", "no", "?"};

struct finding {
	const char *name;
	enum finding_kind kind;
	char text[256], reason[320], remedy[600]; /* reason, remedy: "" when there is none */
};

static void find_kernel(struct finding *out)
{
	struct utsname name;

	uname(&name);
	snprintf(out->text, sizeof(out->text), "%s %s %s", name.sysname, name.release,
		 name.machine);
}

static bool has_capability(cap_t caps, cap_value_t which)
{
	cap_flag_value_t is_set = CAP_CLEAR;

	return caps && cap_get_flag(caps, which, CAP_EFFECTIVE, &is_set) == 0 && is_set == CAP_SET;
}

static void find_privileges(struct finding *out)
{
	static const cap_value_t needed[] = {CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_KILL};
	cap_t caps = cap_get_proc();
	unsigned missing = 0;

	for (unsigned i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		missing += !has_capability(caps, needed[i]);
	if (geteuid() == 0 && !missing) {
		snprintf(out->text, sizeof(out->text), "root");
		if (!has_capability(caps, CAP_SYS_RESOURCE))
			snprintf(out->reason, sizeof(out->reason),
				 "without CAP_SYS_RESOURCE: when memory runs out, the guardian may "
				 "be killed like any other process");
		cap_free(caps);
		return;
	}
	if (caps)
		cap_free(caps);
	out->kind = FINDING_BAD;
	snprintf(out->text, sizeof(out->text), "%s",
		 geteuid() == 0 ? "root, but without all capabilities (a container?)" : "not root");
	snprintf(out->remedy, sizeof(out->remedy), "%s",
		 geteuid() == 0 ? "give the container CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_KILL"
				: "sudo squall doctor");
}

static void find_cgroups(struct finding *out)
{
	struct cgroup_mounts mounts;
	struct error why = ERROR_INIT;

	if (cgroup_find_mounts(&mounts, &why) < 0) {
		out->kind = FINDING_BAD;
		snprintf(out->text, sizeof(out->text), "none");
		snprintf(out->reason, sizeof(out->reason), "%.300s", why.text);
		snprintf(out->remedy, sizeof(out->remedy), "%s", why.remedy);
		return;
	}
	if (mounts.unified[0] && (mounts.systemd_v1[0] || mounts.freezer_v1[0]))
		snprintf(out->text, sizeof(out->text), "v1 and v2 (hybrid), v2 at %.200s",
			 mounts.unified);
	else if (mounts.unified[0])
		snprintf(out->text, sizeof(out->text), "v2 at %.200s", mounts.unified);
	else
		snprintf(out->text, sizeof(out->text), "v1 only: there is no freezer for units");
}

static void find_pressure(struct finding *out)
{
	char line[16];
	int fd = open("/proc/pressure/cpu", O_RDONLY | O_CLOEXEC);
	/* with psi=0 the file is there and reading it gives EOPNOTSUPP (kernel/sched/psi.c) */
	ssize_t got = fd < 0 ? -1 : read(fd, line, sizeof(line));
	int code = errno;

	if (fd >= 0)
		close(fd);
	snprintf(out->text, sizeof(out->text), "%s",
		 got > 0 ? "/proc/pressure can be read" : "probes of kind pressure will not work");
	if (got > 0)
		return;
	out->kind = FINDING_BAD;
	snprintf(out->reason, sizeof(out->reason), "/proc/pressure/cpu: %s", strerror(code));
	snprintf(out->remedy, sizeof(out->remedy),
		 "boot with psi=1, on a kernel with CONFIG_PSI=y");
}

static void count_hook(void *context, const struct nft_hook *hook)
{
	(void)hook;
	++*(unsigned *)context;
}

/* Only asked to read: the netlink family answers, so nf_tables is there. */
static void find_nft(struct finding *out)
{
	struct netlink *netlink = NULL;
	struct error why = ERROR_INIT;
	unsigned hooks = 0;
	int result = netlink_open_netfilter(-1, &netlink, &why);

	if (result == 0)
		result = nft_hooks(netlink, count_hook, &hooks, &why);
	netlink_close(netlink);
	if (result == 0) {
		snprintf(out->text, sizeof(out->text), "answers; %u chain%s on network devices now",
			 hooks, hooks == 1 ? "" : "s");
		return;
	}
	out->kind = result == -EPERM ? FINDING_UNKNOWN : FINDING_BAD;
	snprintf(out->text, sizeof(out->text), "%s",
		 result == -EPERM ? "only root may ask" : "does not answer");
	snprintf(out->reason, sizeof(out->reason), "%.300s", why.text);
	if (result != -EPERM)
		snprintf(out->remedy, sizeof(out->remedy), "%s",
			 why.remedy[0] ? why.remedy : "modprobe nf_tables");
}

static void find_fault(const struct fault_ops *ops, struct finding *out)
{
	struct fault_support support = {0};
	struct error why = ERROR_INIT;

	if (ops->probe && ops->probe(&support, &why) < 0) {
		/* it could not even be tried */
		support.usable = false;
		snprintf(support.reason, sizeof(support.reason), "%.250s", why.text);
		snprintf(support.remedy, sizeof(support.remedy), "%.250s", why.remedy);
	}
	if (ops->probe)
		out->kind = support.usable ? FINDING_GOOD : FINDING_BAD;
	if (out->kind == FINDING_BAD && geteuid() != 0)
		out->kind = FINDING_UNKNOWN;
	snprintf(out->text, sizeof(out->text), "%s",
		 support.way[0]			? support.way
		 : out->kind == FINDING_GOOD	? "usable"
		 : out->kind == FINDING_UNKNOWN ? "only root can tell"
						: "not usable");
	snprintf(out->reason, sizeof(out->reason), "%s", support.reason);
	snprintf(out->remedy, sizeof(out->remedy), "%s",
		 out->kind == FINDING_UNKNOWN && !support.remedy[0] ? "sudo squall doctor"
								    : support.remedy);
}

static const struct {
	const char *name;
	void (*find)(struct finding *out);
} aspects[] = {
	{"kernel", find_kernel},     {"privileges", find_privileges}, {"cgroups", find_cgroups},
	{"pressure", find_pressure}, {"nftables", find_nft},
};
#define ASPECTS (sizeof(aspects) / sizeof(*aspects))

static void show(struct page *page, const struct finding *finding)
{
	static const enum tone tones[] = {TONE_GOOD, TONE_BAD, TONE_WARNING};

	page_tab(page, 2);
	page_put(page, tones[finding->kind], "%s", finding_words[finding->kind]);
	page_tab(page, 6);
	page_put(page, TONE_NORMAL, "%s", finding->name);
	page_tab(page, 18);
	page_wrap(page, TONE_NORMAL, 18, "%s", finding->text);
	if (finding->reason[0]) {
		page_tab(page, 18);
		page_wrap(page, TONE_QUIET, 18, "%s", finding->reason);
	}
	if (finding->remedy[0]) {
		page_tab(page, 18);
		page_wrap(page, TONE_WARNING, 18, "remedy: %s", finding->remedy);
	}
}

static json_t *finding_json(const struct finding *finding)
{
	json_t *root = json_object();

	json_object_set_new(root, "name", json_text(finding->name));
	json_object_set_new(root, "usable",
			    finding->kind == FINDING_UNKNOWN
				    ? json_null()
				    : json_boolean(finding->kind == FINDING_GOOD));
	json_object_set_new(root, "way", json_text(finding->text));
	json_object_set_new(root, "reason", json_text(finding->reason));
	json_object_set_new(root, "remedy", json_text(finding->remedy));
	return root;
}

struct report {
	struct page page;
	json_t *machine, *faults; /* NULL: text */
	unsigned usable, unusable;
};

static void tell_machine(struct report *report)
{
	if (!report->machine)
		page_wrap(&report->page, TONE_TITLE, 0, "This machine");
	for (unsigned i = 0; i < ASPECTS; i++) {
		struct finding finding = {.name = aspects[i].name};

		aspects[i].find(&finding);
		if (report->machine)
			json_array_append_new(report->machine, finding_json(&finding));
		else
			show(&report->page, &finding);
	}
}

static void tell_faults(struct report *report)
{
	if (!report->faults) {
		page_line(&report->page);
		page_wrap(&report->page, TONE_TITLE, 0, "Faults");
	}
	for (const struct fault_ops *const *at = fault_all(); *at; at++) {
		struct finding finding = {.name = (*at)->name};

		find_fault(*at, &finding);
		if (finding.kind == FINDING_GOOD)
			report->usable++;
		else
			report->unusable++;
		if (report->faults)
			json_array_append_new(report->faults, finding_json(&finding));
		else
			show(&report->page, &finding);
	}
}

/* Removes it from the arguments; true: it was there. */
static bool take_word(int *argc, char **argv, const char *word)
{
	int kept = 0;

	for (int at = 0; at < *argc; at++)
		if (strcmp(argv[at], word) != 0)
			argv[kept++] = argv[at];
	if (kept == *argc)
		return false;
	*argc = kept;
	argv[kept] = NULL;
	return true;
}

int cli_doctor(int argc, char **argv, struct error *err)
{
	bool is_sandbox = take_word(&argc, argv, "--sandbox");
	struct options options = {
		.help = usage, .has_json = true, .max_operands = is_sandbox ? -1 : 0};
	struct report report = {0};
	struct restore_report dead = {0};
	json_t *root;
	int result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	if (is_sandbox) {
		result = doctor_sandbox(options.operands, options.json, err);
		return result < 0 || options_flush(err) == 0 ? result : -EIO;
	}
	if (geteuid() == 0)
		undone_finish_dead(&dead, NULL);
	page_init(&report.page, stdout, log_has_colour(STDOUT_FILENO), 0);
	if (options.json) {
		report.machine = json_array();
		report.faults = json_array();
	}
	tell_machine(&report);
	tell_faults(&report);
	if (options.json) {
		root = json_object();
		json_object_set_new(root, "schema_version", json_integer(1));
		json_object_set_new(root, "squall_version", json_string(SQUALL_VERSION));
		json_object_set_new(root, "machine", report.machine);
		json_object_set_new(root, "faults", report.faults);
		result = json_print(root, stdout, true, err);
		if (result < 0)
			return result;
	} else {
		page_line(&report.page);
		page_wrap(&report.page, report.unusable ? TONE_WARNING : TONE_GOOD, 0,
			  "%u of %u faults usable", report.usable, report.usable + report.unusable);
	}
	return report.unusable ? EXIT_UNUSABLE : 0;
}
