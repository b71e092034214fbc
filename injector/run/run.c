/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/run/run.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/journal/audit.h"
#include "injector/journal/journal.h"
#include "injector/kernel/proc.h"
#include "injector/kernel/realtime.h"
#include "injector/kernel/sandbox.h"
#include "injector/policy/policy.h"
#include "injector/policy/policy_warden.h"
#include "injector/policy/site.h"
#include "injector/report/report.h"
#include "injector/restore/halt.h"
#include "injector/restore/restore.h"
#include "injector/restore/stale_metrics.h"
#include "injector/run/conductor.h"
#include "injector/run/metrics.h"
#include "injector/run/notify.h"
#include "injector/run/worker.h"
#include "injector/run/worker_end.h"
#include "injector/view/view.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct run {
	const struct run_options *options;
	struct invoking_user user;
	struct policy *policy;
	struct site site;
	struct worker_family family;
	struct launcher *launcher;
	int command;
	struct experiment *experiment;
	struct loop *loop;
	struct run_result *result;
	struct view *view;
	struct notify *notify;
	struct metrics *metrics;
	struct file_writer writers[METRICS_FILES];
};

static int need_root(const struct run_options *options, struct error *err)
{
	if (geteuid() == 0)
		return 0;
	error_set(err, EPERM, "%s needs root",
		  options->plan_only ? "looking for the targets" : "injecting faults");
	return error_remedy(err, "Run it with sudo. Without privileges there are: squall check, "
				 "squall faults.");
}

/* What dead runs left is finished first: nobody has to remember to. */
static int restore_first(struct error *err)
{
	struct restore_report report = {0};
	int result = restore_dead_runs(&report, err);

	if (report.undone)
		log_info("finished the restore of an earlier run: %u changes undone",
			 report.undone);
	for (unsigned i = 0; i < report.left_count; i++)
		log_warning("%s", report.left[i]);
	if (result == 0 && report.failed) {
		error_set(err, EBUSY, "an earlier run has left something that could not be undone");
		error_remedy(err, "Undo it as the lines above say, then: squall restore");
		result = -EBUSY;
	}
	restore_report_free(&report);
	stale_metrics_sweep(0);
	return result;
}

static int start_worker(struct run *run, struct error *err)
{
	const struct worker_options options = {
		.conductor = getpid(), /* getppid() would say 1 if it had died */
		.invoking_uid = run->user.uid,
		.invoking_gid = run->user.gid,
		.result_uid = run->user.uid,
		.policy = run->policy,
	};

	return worker_start(&options, &run->family, err);
}

static bool has_site_command(const struct site *site)
{
	for (unsigned i = 0; i < site->notification_count; i++)
		if (site->notifications[i].kind == NOTIFY_COMMAND)
			return true;
	return false;
}

static int give_up_rights(struct run *run, struct error *err)
{
	const struct invoking_user conductor = sandbox_conductor_user(&run->user);
	const struct run_options *options = run->options;
	int result = 0;

	/* A file of the user's, and what it starts, does not go before everybody else. */
	if (!options->is_one_fault)
		realtime_end();
	if (options->has_launcher || options->command || has_site_command(&run->site))
		result = launcher_new(run->user.uid, run->user.gid, &run->launcher, err);
	if (result == 0 && options->command) {
		run->command = launcher_add(run->launcher, options->command, true, NULL, err);
		result = run->command < 0 ? run->command : 0;
	}
	if (result == 0)
		result = metrics_start_writers(run->writers, &run->user, options->metrics,
					       options->plan_only ? NULL : run->site.metrics, err);
	if (result == 0)
		result = sandbox_drop_user(conductor.uid, conductor.gid, err);
	return result;
}

/* Who may is asked before anything else is; the rest by the worker, of what it finds. */
static int ask_site(struct run *run, struct error *err)
{
	struct yaml_problems problems = {0};
	int result = policy_load(POLICY_PATH, &run->policy, &problems, err);

	yaml_problems_free(&problems);
	if (result == 0)
		policy_warden_know(run->policy); /* worker and guardian, too */
	if (result == 0)
		result = policy_check_user(run->policy, run->user.uid, err);
	if (result == 0)
		result = site_load(SITE_PATH, &run->site, err);
	return result;
}

/* The line that is there whatever happens next. */
static int begin_audit(const struct run *run, struct error *err)
{
	struct error why = ERROR_INIT;
	int result = audit_write(&why, "begin", "", "%s",
				 run->options->words ? run->options->words : "");

	if (result == 0 || !policy_needs_audit(run->policy))
		return 0;
	*err = why;
	return error_prefix(err, "the site policy wants an audit");
}

static enum view_kind choose_view(const struct run_options *options)
{
	if (options->is_json)
		return VIEW_JSON;
	if (options->plan_only)
		return VIEW_PLAN;
	return isatty(STDERR_FILENO) && !options->command ? VIEW_LIVE : VIEW_PLAIN;
}

/* `./backlog.sh` in a file is the one beside the file, wherever squall was started. */
static int enter_directory(struct run *run, struct error *err)
{
	cleanup_free char *path = NULL;
	char *slash;

	if (!run->launcher || !run->experiment->path)
		return 0;
	path = strdup(run->experiment->path);
	if (!path)
		return error_errno(err, ENOMEM, "cannot start commands");
	slash = strrchr(path, '/');
	if (!slash)
		return 0;
	*(slash == path ? slash + 1 : slash) = '\0';
	return launcher_set_directory(run->launcher, path, err);
}

/* A window is for whoever is there to look: nothing begins outside of it. */
static int check_window(const struct experiment *experiment, struct error *err)
{
	const struct calendar_window *window = &experiment->limits.window;
	char opens[CALENDAR_TEXT_SIZE] = "not within a month";
	int64_t change_ns;

	if (!experiment->limits.window_text ||
	    calendar_is_open(window, clock_wall_ns(), &change_ns))
		return 0;
	if (change_ns != INT64_MAX)
		calendar_format(change_ns, window->zone, opens);
	error_set(err, EACCES, "it is outside of limits.window (%s), which opens next: %s",
		  experiment->limits.window_text, opens);
	return error_remedy(err, "Wait until then, or change the window; squall plan works at any "
				 "time.");
}

static int prepare_experiment(struct run *run, struct error *err)
{
	struct experiment *experiment = run->experiment;
	uint64_t drawn;

	if (run->options->has_seed) {
		experiment->seed = run->options->seed;
	} else if (!experiment->has_seed) {
		if (getrandom(&drawn, sizeof(drawn), 0) != sizeof(drawn))
			return error_errno(err, EIO, "cannot draw a seed");
		experiment->seed = (int64_t)(drawn & (uint64_t)EXPERIMENT_MAX_SEED);
	}
	return run->options->plan_only ? 0 : check_window(experiment, err);
}

/* Told as any other event while somebody looks, and kept in the result. */
static void on_complaint(void *context, const struct event *event)
{
	const struct run *run = context;
	struct event_listener listener = result_listener(run->result);

	listener.fn(listener.context, event);
	if (run->view) {
		listener = view_listener(run->view);
		listener.fn(listener.context, event);
	} else {
		log_warning("%s", event->text);
	}
}

static int open_notify(struct run *run, struct error *err)
{
	const struct notify_options options = {
		.experiment = run->experiment,
		.loop = run->loop,
		.launcher = run->launcher,
		.has_command = run->options->command != NULL,
		.complaints = {.fn = on_complaint, .context = run},
	};

	return run->options->plan_only ? 0 : notify_new(&options, &run->notify, err);
}

static int open_ears(struct run *run, struct error *err)
{
	const struct run_options *options = run->options;
	int result = loop_new(&run->loop, err);

	if (result == 0)
		result = options->load(options->context, &run->experiment, err);
	if (result == 0)
		result = prepare_experiment(run, err);
	if (result == 0)
		result = site_apply(&run->site, run->experiment, err);
	if (result == 0)
		result = enter_directory(run, err);
	if (result == 0)
		result = result_new(run->experiment, "", &run->result, err);
	if (result == 0 && !options->is_quiet)
		result = view_new(choose_view(options), run->experiment, run->loop,
				  options->is_json || options->plan_only ? stdout : stderr,
				  &run->view, err);
	if (result == 0)
		result = open_notify(run, err);
	if (result == 0 && (run->writers[0].pid || run->writers[1].pid))
		result = metrics_new(run->result, run->loop, run->writers, METRICS_FILES,
				     &run->metrics, err);
	return result;
}

static unsigned terminal_width(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/* `fd` is closed. */
static void write_result(const struct run *run, json_t *root, int fd)
{
	struct error err = ERROR_INIT;
	FILE *file = fdopen(fd, "w");
	int result;

	if (!file) {
		close(fd);
		return;
	}
	result = json_print(json_incref(root), file, false, &err);
	/* the room that was reserved and not used */
	if (fflush(file) == 0)
		(void)!ftruncate(fileno(file), ftello(file));
	if (fclose(file) != 0 && result == 0)
		error_errno(&err, errno, "cannot write the result");
	if (err.code)
		log_warning("the result could not be stored in " JOURNAL_STATE
			    "/results/%s.json: %s",
			    run->result->run_id, err.text);
}

static void tell_verdict(struct run *run)
{
	const struct event event = {
		.kind = EVENT_RESULT, .phase = PHASE_FINISHED, .result = run->result};
	struct event_listener listener;

	if (run->notify) {
		listener = notify_listener(run->notify);
		listener.fn(listener.context, &event);
	}
	if (run->metrics) {
		listener = metrics_listener(run->metrics);
		listener.fn(listener.context, &event);
	}
	if (run->view) {
		listener = view_listener(run->view);
		listener.fn(listener.context, &event);
		view_free(run->view);
		run->view = NULL;
	}
}

static int conclude(struct run *run, int result_fd)
{
	json_t *root;

	result_finish(run->result);
	tell_verdict(run);
	root = report_build(run->result);
	if (!root)
		log_warning("there is no memory for the report; the verdict is: %s",
			    run->result->why);
	else if (!run->options->is_json && !run->options->is_quiet)
		report_text(root, stdout, log_has_colour(STDOUT_FILENO), terminal_width());
	/* whoever sits here knows by now; how many others do is in the stored result */
	fflush(stdout);
	notify_finish(run->notify);
	json_object_set_new(root, "notifications", notify_report(run->notify));
	if (result_fd >= 0)
		write_result(run, root, result_fd);
	json_decref(root);
	return (int)run->result->verdict;
}

static int run_conductor(struct run *run, struct error *err)
{
	struct conductor_options options;
	int result_fd = -1, result = open_ears(run, err);

	if (result < 0)
		return result;
	options = (struct conductor_options){
		.experiment = run->experiment,
		.loop = run->loop,
		.worker_socket = run->family.socket,
		.worker = run->family.worker,
		.launcher = run->launcher,
		.command = run->command,
		.plan_only = run->options->plan_only,
		.result = run->result,
		.listeners = {result_listener(run->result)},
		.view = run->view,
	};
	if (run->view)
		options.listeners[1] = view_listener(run->view);
	if (run->notify)
		options.listeners[2] = notify_listener(run->notify);
	if (run->metrics)
		options.listeners[3] = metrics_listener(run->metrics);
	result = conductor_run(&options, &result_fd, err);
	if (result == 0 && !run->options->plan_only)
		return conclude(run, result_fd);
	if (result < 0) {
		notify_refused(run->notify, err->text);
		notify_finish(run->notify);
	}
	if (result_fd >= 0)
		close(result_fd);
	return result;
}

/* What has become of the worker. */
static enum worker_end run_free(struct run *run)
{
	enum worker_end end = WORKER_ENDED;

	if (run->family.socket >= 0)
		close(run->family.socket); /* a worker that still waits leaves now */
	if (run->view)
		view_free(run->view);
	notify_free(run->notify);
	metrics_free(run->metrics);
	file_writer_stop(&run->writers[0]);
	file_writer_stop(&run->writers[1]);
	launcher_free(run->launcher);
	if (run->family.worker > 0)
		end = worker_end_await(&run->family, run->result && run->result->run_id[0]);
	if (run->family.guardian > 0) /* gone with the worker, unless it has to restore for it */
		waitpid(run->family.guardian, NULL, WNOHANG);
	result_free(run->result);
	loop_free(run->loop);
	if (run->experiment)
		experiment_free(run->experiment);
	free(run->experiment);
	policy_free(run->policy);
	site_free(&run->site);
	return end;
}

/* What needs root's rights. What is refused here is in the trail as well. */
static int begin(struct run *run, struct error *err)
{
	const struct run_options *options = run->options;
	int result = sandbox_invoking_user(&run->user, err);

	audit_caller(options->name, result < 0 ? getuid() : run->user.uid, options->file,
		     options->content, options->length);
	if (result == 0)
		result = ask_site(run, err);
	/* Read from files once, not by each of the processes */
	tzset();
	json_object_seed(0);
	/* It listens while this process does what comes next. */
	if (result == 0)
		result = start_worker(run, err);
	if (result == 0)
		result = begin_audit(run, err);
	if (result == 0)
		result = restore_first(err);
	if (result == 0 && !options->plan_only)
		result = halt_check(err);
	if (result < 0)
		audit_write(NULL, "refused", "", "%s", err->text);
	return result;
}

int run_start(const struct run_options *options, struct error *err)
{
	struct run run = {.options = options, .family = {.socket = -1}, .command = -1};
	int result = need_root(options, err);
	enum worker_end end;
	pid_t worker;

	/* Restoring and telling go on when nobody reads; commands get the signal back. */
	signal(SIGPIPE, SIG_IGN);
	realtime_begin(); /* for worker and guardian, and for this process until it has begun */
	if (result == 0)
		result = begin(&run, err);
	if (result == 0)
		result = give_up_rights(&run, err);
	if (result == 0)
		result = run_conductor(&run, err);
	worker = run.family.worker;
	end = run_free(&run);
	if (end == WORKER_ENDED)
		return result;
	if (end == WORKER_HANGS)
		log_error("left: the worker, process %d, hangs in the kernel, where no signal "
			  "reaches it; when it has gone, run: squall restore",
			  worker);
	else
		log_error("left: the worker, process %d, is stopped by somebody; it has nothing in "
			  "force that squall restore does not undo; to end it: kill -9 %d",
			  worker, worker);
	return result < 0 ? result : VERDICT_NOT_RESTORED;
}
