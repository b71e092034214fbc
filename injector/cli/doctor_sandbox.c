/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each process is tried in a child that does what the real one does when it is armed, and then
 * reads its own /proc/self/status, through its own filter.
 */
#include "injector/cli/doctor_sandbox.h"

#include "faults/fault.h"
#include "faults/http_tls.h"
#include "injector/base/cleanup.h"
#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/base/page.h"
#include "injector/kernel/file_reader.h"
#include "injector/kernel/file_writer.h"
#include "injector/kernel/sandbox.h"
#include "injector/kernel/sandbox_lists.h"
#include "injector/probes/launcher.h"
#include "injector/restore/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALL_CAPABILITIES 64
#define ALL_OF_USER	 UINT64_MAX

/* What the kernel says. */
struct status {
	unsigned uid, filters; /* filters: mode 2 */
	unsigned long long permitted, effective, inheritable, ambient;
	unsigned no_new_privileges;
};

struct process {
	const char *name, *does;
	unsigned uid;
	uint64_t capabilities;		    /* ALL_OF_USER: what this user has */
	const struct sandbox_group *groups; /* NULL: no filter */
	unsigned choice;
	int (*confine)(const struct process *process, struct error *err); /* NULL: a launcher */
	int (*start)(uid_t uid, gid_t gid, struct launcher **out, struct error *err);
	struct status found;
	bool was_tried;
	char trouble[300]; /* why it could not be tried, or how it differs; "" */
};

static struct invoking_user user, conductor;

static int confine_conductor(const struct process *process, struct error *err)
{
	int result = sandbox_drop_user(process->uid, conductor.gid, err);

	return result < 0 ? result : sandbox_conductor(err);
}

static int confine_worker(const struct process *process, struct error *err)
{
	int result = sandbox_keep_capabilities(process->capabilities, err);

	return result < 0 ? result : sandbox_worker(process->capabilities, err);
}

static int confine_guardian(const struct process *process, struct error *err)
{
	int result = sandbox_keep_capabilities(process->capabilities, err);

	return result < 0 ? result : sandbox_guardian(process->capabilities, err);
}

static int confine_reader(const struct process *process, struct error *err)
{
	(void)process;
	return file_reader_confine(err);
}

static int confine_tls(const struct process *process, struct error *err)
{
	(void)process;
	return http_tls_confine(err);
}

static int confine_writer(const struct process *process, struct error *err)
{
	return file_writer_confine(process->uid, process->uid ? user.gid : 0, err);
}

static int confine_nothing(const struct process *process, struct error *err)
{
	(void)process, (void)err;
	return 0;
}

/* ---- Trying ---- */

static int open_status(pid_t pid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int read_status(int fd, char *out, size_t size)
{
	ssize_t got = fd < 0 ? -1 : read(fd, out, size - 1);

	if (got < 0)
		return -errno;
	out[got] = '\0';
	return 0;
}

static unsigned long long field(const char *text, const char *name, int base)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, base) : ~0ULL;
}

static void take_status(struct process *process, const char *text)
{
	process->found = (struct status){
		.uid = (unsigned)field(text, "\nUid:", 10),
		.permitted = field(text, "\nCapPrm:", 16),
		.effective = field(text, "\nCapEff:", 16),
		.inheritable = field(text, "\nCapInh:", 16),
		.ambient = field(text, "\nCapAmb:", 16),
		.no_new_privileges = (unsigned)field(text, "\nNoNewPrivs:", 10),
		.filters = (unsigned)field(text, "\nSeccomp:", 10),
	};
	process->was_tried = true;
}

/* In the child, by calls that are in each list; what it may not open is no way to tell, so the
 * file and the socket are there before. */
static void confine_and_tell(const struct process *process, int out)
{
	struct error err = ERROR_INIT;
	char text[4096] = "";
	struct iovec part = {.iov_base = text};
	const struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	const int status = open_status(getpid());

	if (process->confine(process, &err) < 0)
		snprintf(text, sizeof(text), "!%.280s", err.text);
	else if (read_status(status, text, sizeof(text)) < 0)
		snprintf(text, sizeof(text), "!it cannot read its own status");
	part.iov_len = strlen(text);
	_exit(sendmsg(out, &message, MSG_NOSIGNAL) < 0);
}

static void try_by_fork(struct process *process)
{
	char text[4096] = "";
	size_t used = 0;
	int ends[2];
	ssize_t got;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return;
	pid = fork();
	if (pid == 0)
		confine_and_tell(process, ends[1]);
	close(ends[1]);
	while (used < sizeof(text) - 1 &&
	       (got = read(ends[0], text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)got;
	close(ends[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	if (text[0] && text[0] != '!')
		take_status(process, text);
	else
		snprintf(process->trouble, sizeof(process->trouble), "%.290s",
			 text[0] ? text + 1 : "it died of its own filter");
}

/* The real one, which a run starts as well. */
static void try_launcher(struct process *process)
{
	struct launcher *launcher = NULL;
	struct error err = ERROR_INIT;
	cleanup_fd int status = -1;
	char text[4096];

	if (process->start(user.uid, user.gid, &launcher, &err) < 0)
		snprintf(process->trouble, sizeof(process->trouble), "%.280s", err.text);
	else if (read_status(status = open_status(launcher_pid(launcher)), text, sizeof(text)) == 0)
		take_status(process, text);
	launcher_free(launcher);
}

static void compare(struct process *process)
{
	const struct status *found = &process->found;
	const char *what = NULL;

	if (!process->was_tried)
		return;
	if (found->uid != process->uid)
		what = "it runs as another user";
	else if (process->capabilities != ALL_OF_USER &&
		 (found->permitted != process->capabilities ||
		  found->effective != process->capabilities))
		what = "it holds other capabilities";
	else if ((found->inheritable || found->ambient) && process->groups)
		what = "it would pass on capabilities";
	else if (process->groups && (found->filters != 2 || !found->no_new_privileges))
		what = "it has no filter";
	else if (process->confine && process->capabilities != ALL_OF_USER &&
		 !found->no_new_privileges)
		what = "it could gain privileges";
	snprintf(process->trouble, sizeof(process->trouble), "%s", what ? what : "");
}

static void try_process(struct process *process)
{
	if (geteuid() != 0)
		snprintf(process->trouble, sizeof(process->trouble),
			 "only root can try it: sudo squall doctor --sandbox");
	else if (process->confine)
		try_by_fork(process);
	else
		try_launcher(process);
	compare(process);
}

/* ---- Telling ---- */

/* "NET_ADMIN", as they are written in documents. */
static const char *capability_name(int cap, char out[40])
{
	char *name = cap_to_name(cap);

	snprintf(out, 40, "%s", name && strncmp(name, "cap_", 4) == 0 ? name + 4 : "?");
	for (char *at = out; *at; at++)
		if (*at >= 'a' && *at <= 'z')
			*at = (char)(*at - 'a' + 'A');
	if (name)
		cap_free(name);
	return out;
}

static json_t *capabilities_json(uint64_t capabilities)
{
	json_t *list = json_array();
	char name[40];

	for (int cap = 0; cap < ALL_CAPABILITIES; cap++)
		if (capabilities >> cap & 1)
			json_array_append_new(list, json_text(capability_name(cap, name)));
	return list;
}

static json_t *group_json(const struct sandbox_group *group)
{
	json_t *calls = json_array();

	for (const struct sandbox_rule *rule = group->rules; rule->call != SANDBOX_END; rule++)
		json_array_append_new(calls, json_text(rule->text));
	return json_pack("{s:s, s:o}", "purpose", group->purpose, "calls", calls);
}

static json_t *process_json(const struct process *process)
{
	json_t *root = json_object(), *groups = json_array();
	bool is_root = process->capabilities == ALL_OF_USER;

	for (const struct sandbox_group *at = process->groups; at && at->purpose; at++)
		if (sandbox_group_applies(at, process->choice))
			json_array_append_new(groups, group_json(at));
	json_object_set_new(root, "name", json_text(process->name));
	json_object_set_new(root, "does", json_text(process->does));
	json_object_set_new(root, "uid", json_integer(process->uid));
	json_object_set_new(root, "capabilities",
			    is_root ? json_null() : capabilities_json(process->capabilities));
	json_object_set_new(root, "no_new_privs",
			    process->was_tried ? json_boolean(process->found.no_new_privileges)
					       : json_null());
	json_object_set_new(root, "filtered", json_boolean(process->groups));
	json_object_set_new(root, "groups", groups);
	json_object_set_new(root, "as_promised",
			    process->was_tried ? json_boolean(!process->trouble[0]) : json_null());
	json_object_set_new(root, "trouble", json_text(process->trouble));
	return root;
}

static void show_groups(struct page *page, const struct process *process)
{
	for (const struct sandbox_group *at = process->groups; at->purpose; at++) {
		char text[4096];
		size_t used = 0;

		if (!sandbox_group_applies(at, process->choice))
			continue;
		for (const struct sandbox_rule *rule = at->rules;
		     rule->call != SANDBOX_END && used < sizeof(text); rule++)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
						 used ? ", " : "", rule->text);
		page_tab(page, 4);
		page_put(page, TONE_NORMAL, "%s", at->purpose);
		page_tab(page, 40);
		page_wrap(page, TONE_QUIET, 40, "%s", text);
	}
}

static void show_rights(struct page *page, const struct process *process)
{
	const struct passwd *entry = getpwuid(process->uid);
	char list[600] = "", name[40];

	for (int cap = 0; cap < ALL_CAPABILITIES; cap++)
		if (process->capabilities >> cap & 1)
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
				 *list ? ", " : "", capability_name(cap, name));
	page_tab(page, 2);
	page_wrap(page, TONE_NORMAL, 2, "user %s (uid %u); capabilities: %s; %s",
		  entry ? entry->pw_name : "?", process->uid,
		  process->capabilities == ALL_OF_USER ? "all of this user"
		  : *list			       ? list
						       : "none",
		  !process->was_tried		     ? "not tried"
		  : process->found.filters == 2	     ? "no new privileges, filter in force"
		  : process->found.no_new_privileges ? "no new privileges, no filter"
						     : "no filter");
}

static void show(struct page *page, const struct process *process)
{
	page_line(page);
	page_put(page, TONE_TITLE, "%s", process->name);
	page_tab(page, 14);
	page_wrap(page, TONE_NORMAL, 14, "%s", process->does);
	show_rights(page, process);
	if (process->trouble[0]) {
		page_tab(page, 2);
		page_wrap(page, process->was_tried ? TONE_BAD : TONE_WARNING, 2, "%s",
			  process->trouble);
	}
	if (process->groups)
		show_groups(page, process);
}

/* "file", or "file+": with all that its targets and parameters can ask for. */
static int sum_up(char *const *faults, uint64_t *out, struct error *err)
{
	*out = 0;
	for (const struct fault_ops *const *at = fault_all(); !*faults && *at; at++)
		*out |= (*at)->capabilities | (*at)->capabilities_more;
	for (; *faults; faults++) {
		size_t length = strcspn(*faults, "+");
		bool is_most = strcmp(*faults + length, "+") == 0;
		char name[64];
		const struct fault_ops *ops;

		snprintf(name, sizeof(name), "%.*s", is_most ? (int)length : 60, *faults);
		ops = fault_find(name);
		if (!ops) {
			error_set(err, EINVAL, "doctor: there is no fault '%.40s'", *faults);
			return error_remedy(err, "squall faults lists them");
		}
		*out |= ops->capabilities | (is_most ? ops->capabilities_more : 0);
	}
	return 0;
}

int doctor_sandbox(char *const *faults, bool is_json, struct error *err)
{
	uint64_t capabilities;
	int result = sum_up(faults, &capabilities, err), failures = 0;
	json_t *list = json_array(), *root;
	struct page page;

	if (result == 0)
		result = sandbox_invoking_user(&user, err);
	if (result < 0) {
		json_decref(list);
		return result;
	}
	conductor = sandbox_conductor_user(&user);
	capabilities |= GUARDIAN_CAPABILITIES;
	struct process processes[] = {
		{.name = "conductor",
		 .does = "parses the experiment, probes, decides, shows",
		 .uid = conductor.uid,
		 .groups = sandbox_conductor_groups,
		 .confine = confine_conductor},
		{.name = "worker",
		 .does = "injects, ends and undoes, once it is armed",
		 .capabilities = capabilities,
		 .groups = sandbox_worker_groups,
		 .choice = sandbox_choice(capabilities),
		 .confine = confine_worker},
		{.name = "guardian",
		 .does = "undoes what a dead worker left",
		 .capabilities = capabilities,
		 .groups = sandbox_guardian_groups,
		 .choice = sandbox_choice(capabilities),
		 .confine = confine_guardian},
		{.name = "launcher",
		 .does = "starts the commands of the experiment, which have the same rights",
		 .uid = user.uid,
		 .start = launcher_new},
		{.name = "reloader",
		 .does = "starts the reload commands of the plan, which have the same rights; only "
			 "where there are some",
		 .uid = user.uid,
		 .start = launcher_new_apart},
		{.name = "reader",
		 .does = "opens the files that an experiment includes for a conductor that is "
			 "nobody; "
			 "only where root itself calls",
		 .capabilities =
			 geteuid() == 0 ? file_reader_capabilities() : 1ULL << CAP_DAC_READ_SEARCH,
		 .groups = sandbox_reader_groups,
		 .confine = confine_reader},
		{.name = "tls",
		 .does = "speaks TLS for http faults with a certificate, and holds the key of "
			 "that; "
			 "only where there are some",
		 .uid = HTTP_TLS_UID,
		 .groups = sandbox_tls_groups,
		 .confine = confine_tls},
		{.name = "metrics",
		 .does = "replaces the file of --metrics, and sets it right when the run was "
			 "killed",
		 .uid = user.uid,
		 .confine = confine_writer},
		{.name = "site-metrics",
		 .does = "the same for the file that the site names",
		 .confine = confine_writer},
		{.name = "sweeper",
		 .does = "looks for metrics of killed runs when the next command of root's begins, "
			 "and "
			 "starts who sets them right, with the rights of the two above",
		 .capabilities = ALL_OF_USER,
		 .confine = confine_nothing},
	};

	page_init(&page, stdout, log_has_colour(STDOUT_FILENO), 0);
	if (!is_json)
		page_wrap(&page, TONE_NORMAL, 0,
			  "A filter answers EPERM to every call that is not listed, and kills for "
			  "execve, ptrace, loading of modules and of kernels.");
	for (unsigned i = 0; i < sizeof(processes) / sizeof(*processes); i++) {
		if (!processes[i].confine && user.uid == 0) /* what root itself has */
			processes[i].capabilities = ALL_OF_USER;
		try_process(&processes[i]);
		failures += !processes[i].was_tried || processes[i].trouble[0];
		if (is_json)
			json_array_append_new(list, process_json(&processes[i]));
		else
			show(&page, &processes[i]);
	}
	root = json_pack("{s:i, s:s, s:o}", "schema_version", 1, "squall_version", SQUALL_VERSION,
			 "processes", list);
	result = is_json ? json_print(root, stdout, true, err) : 0;
	if (!is_json)
		json_decref(root);
	return result < 0 ? result : failures > 0;
}
