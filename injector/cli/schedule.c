/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall schedule: writes, lists and removes systemd units for an experiment. It starts nothing:
 * that is systemctl's, and said at the end.
 */
#include "injector/cli/commands.h"

#include "injector/base/cleanup.h"
#include "injector/base/json.h"
#include "injector/base/quantity.h"
#include "injector/cli/options.h"
#include "injector/cli/problems.h"
#include "injector/cli/schedule_trust.h"
#include "injector/cli/schedule_units.h"
#include "injector/experiment/load.h"
#include "injector/journal/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNITS		"/etc/systemd/system"
#define NAME_MAX_LENGTH 64

static const char help[] =
	"usage: squall schedule FILE --on CALENDAR [--random-delay TIME] [--name NAME]\n"
	"       squall schedule --remove NAME\n"
	"       squall schedule [--json]\n"
	"\n"
	"Writes a systemd timer and its service that run the experiment FILE; removes them; or\n"
	"lists those that are there. FILE, what it includes and starts, the squall program and\n"
	"the directories and links on the way must belong to root, and nobody else may write to\n"
	"them: put FILE into /etc/squall, and use the installed squall. Faults, a duration and a\n"
	"user that the site policy refuses are refused; windows and targets it is asked each "
	"time.\n"
	"\n"
	"  --on CALENDAR        as OnCalendar= of systemd.time(7), with a time zone:\n"
	"                       'Mon..Thu 10:00 Europe/Berlin'\n"
	"  --random-delay TIME  begins up to so much later, at random\n"
	"  --name NAME          of the units: squall-NAME; default: that of FILE\n"
	"  --remove NAME        remove the units of that name\n"
	"  --directory DIR      where units are; default /etc/systemd/system\n"
	"  --json               the list as JSON\n"
	"  --help               this text\n"
	"\n"
	"A schedule does not overlap itself, a run that was missed is not made up for, and what a\n"
	"killed run leaves is undone by ExecStopPost=.\n";

enum text { TEXT_ON, TEXT_DELAY, TEXT_NAME, TEXT_REMOVE, TEXT_DIRECTORY, TEXT_COUNT };

static bool is_name(const char *name)
{
	size_t length = strlen(name);

	return length && length <= NAME_MAX_LENGTH && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
		       length;
}

static int check_name(const char *name, struct error *err)
{
	if (is_name(name))
		return 0;
	error_set(err, EINVAL, "schedule: '%.80s' is no name of a schedule", name);
	return error_remedy(err, "use letters, digits, - and _, at most %d; see --name",
			    NAME_MAX_LENGTH);
}

/* It goes into a unit of root's: what could begin a line or a specifier of its own does not. */
static int check_calendar(const char *calendar, struct error *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789 *:,./~+_-";

	if (*calendar && strlen(calendar) < 200 && strspn(calendar, allowed) == strlen(calendar))
		return 0;
	error_set(err, EINVAL, "schedule: '%.80s' is no calendar of systemd.time(7)", calendar);
	return error_remedy(err,
			    "like --on 'Mon..Thu 10:00 Europe/Berlin'; systemd-analyze calendar "
			    "tells when that is");
}

static int read_file(const char *file, struct experiment **out, struct error *err)
{
	struct experiment_text text = {.inputs.read = schedule_trust_read};
	struct yaml_problems problems = {0};
	int result = experiment_read(file, &text, err);

	options_tell_audit("schedule", file, text.bytes, text.length);
	if (result == 0)
		result = experiment_parse(&text, file, out, &problems, err);
	if (result < 0 && problems.count) {
		problems_print(&problems, file, text.bytes, text.length);
		err->text[0] = '\0'; /* all has been said */
	}
	yaml_problems_free(&problems);
	experiment_text_free(&text);
	return result;
}

static void unit_path(char *out, size_t size, const char *directory, const char *name,
		      const char *kind)
{
	snprintf(out, size, "%s/squall-%s.%s", directory, name, kind);
}

/* The calendar of a timer of ours; false: it is somebody else's, or none. */
static bool read_calendar(const char *path, char *out, size_t size)
{
	cleanup_file FILE *file = fopen(path, "re");
	char line[512];
	bool is_ours = file && fgets(line, sizeof(line), file) &&
		       strncmp(line, SCHEDULE_MARK, strlen(SCHEDULE_MARK)) == 0;

	out[0] = '\0';
	while (is_ours && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "OnCalendar=", 11) == 0)
			snprintf(out, size, "%.*s", (int)size - 1, line + 11);
	}
	return is_ours;
}

static int check_free(const char *path, struct error *err)
{
	char ignored[8];

	if (access(path, F_OK) < 0 || read_calendar(path, ignored, sizeof(ignored)))
		return 0;
	error_set(err, EEXIST, "schedule: %s is there and was not written by squall", path);
	return error_remedy(err, "choose another --name");
}

/* Whole or not at all. */
static int write_unit(const char *path, const char *text, struct error *err)
{
	char temporary[PATH_MAX + 8];
	cleanup_fd int fd = -1;
	size_t length = strlen(text);

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_errno(err, errno, "cannot create %s", temporary);
	if (write(fd, text, length) != (ssize_t)length || fsync(fd) < 0 ||
	    rename(temporary, path) < 0) {
		error_errno(err, errno ? errno : EIO, "cannot write %s", path);
		unlink(temporary);
		return -err->code;
	}
	return 0;
}

static int write_units(const char *directory, const struct schedule_plan *plan, struct error *err)
{
	cleanup_free char *timer = schedule_timer(plan), *service = schedule_service(plan);
	char paths[2][PATH_MAX];
	int result = timer && service ? 0 : error_errno(err, ENOMEM, "cannot write units");

	unit_path(paths[0], sizeof(paths[0]), directory, plan->name, "service");
	unit_path(paths[1], sizeof(paths[1]), directory, plan->name, "timer");
	for (unsigned i = 0; result == 0 && i < 2; i++)
		result = check_free(paths[i], err);
	if (result == 0)
		result = write_unit(paths[0], service, err);
	if (result == 0)
		result = write_unit(paths[1], timer, err);
	if (result < 0)
		return result;
	printf("%s\n", paths[1]);
	if (plan->window)
		printf("Outside of its window, %s, a run is refused.\n", plan->window);
	/* systemd knows its calendars best, and tells when the next one is; without one that it
	 * understands nothing is enabled */
	printf("Next, as root: systemd-analyze calendar '%s' && systemctl daemon-reload && "
	       "systemctl enable --now squall-%s.timer\n",
	       plan->calendar, plan->name);
	audit_write(NULL, "scheduled", "", "%s: %s", paths[1], plan->calendar);
	return options_flush(err);
}

/* "slow" of /etc/squall/slow.yaml; what is no name becomes a dash. */
static void name_of(const char *file, char *out, size_t size)
{
	const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;

	snprintf(out, size, "%.*s", (int)strcspn(base, "."), base);
	for (char *at = out; *at; at++)
		if (!is_name((char[]){*at, '\0'}) && *at != '-')
			*at = '-';
}

static int add(const char *given, const struct option_text *texts, const char *directory,
	       struct error *err)
{
	cleanup_free char *file = realpath(given, NULL);
	char name[NAME_MAX_LENGTH + 1], program[PATH_MAX];
	struct schedule_plan plan = {.name = name, .file = file, .program = program};
	struct experiment *experiment = NULL;
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	int64_t delay_ns;
	int result;

	if (!file)
		return error_errno(err, errno, "cannot open %s", given);
	if (length < 0)
		return error_errno(err, errno, "cannot find the program itself");
	program[length] = '\0';
	plan.calendar = texts[TEXT_ON].text;
	plan.delay = texts[TEXT_DELAY].text;
	if (texts[TEXT_NAME].text)
		snprintf(name, sizeof(name), "%s", texts[TEXT_NAME].text);
	else
		name_of(file, name, sizeof(name));
	result = check_name(texts[TEXT_NAME].text ? texts[TEXT_NAME].text : name, err);
	if (result == 0)
		result = check_calendar(plan.calendar, err);
	if (result == 0 && plan.delay && quantity_parse_duration(plan.delay, &delay_ns, err) < 0)
		result = error_prefix(err, "--random-delay");
	if (result == 0)
		result = schedule_trust_program(program, err);
	if (result == 0)
		result = read_file(file, &experiment, err);
	if (result == 0)
		result = schedule_trust_commands(experiment, file, err);
	if (result == 0)
		result = schedule_trust_inputs(experiment, file, err);
	if (result == 0)
		result = schedule_trust_policy(experiment, err);
	if (result == 0) {
		plan.title = experiment->title;
		plan.duration_ns = experiment->limits.duration_ns;
		plan.window = experiment->limits.window_text;
		result = write_units(directory, &plan, err);
	}
	experiment_free(experiment);
	free(experiment);
	return result;
}

static int remove_units(const char *directory, const char *name, struct error *err)
{
	static const char *const kinds[] = {"timer", "service"};
	char path[PATH_MAX], calendar[256];
	int result = check_name(name, err);

	if (result < 0)
		return result;
	unit_path(path, sizeof(path), directory, name, "timer");
	if (!read_calendar(path, calendar, sizeof(calendar))) {
		error_set(err, ENOENT, "schedule: %s is not there, or was not written by squall",
			  path);
		return error_remedy(err, "squall schedule lists those that are there");
	}
	for (unsigned i = 0; i < 2; i++) {
		unit_path(path, sizeof(path), directory, name, kinds[i]);
		if ((i == 0 || read_calendar(path, calendar, sizeof(calendar))) &&
		    unlink(path) < 0 && errno != ENOENT)
			return error_errno(err, errno, "cannot remove %s", path);
	}
	/* what `systemctl enable` has made; `disable` wants the unit to be there */
	snprintf(path, sizeof(path), "%s/timers.target.wants/squall-%s.timer", directory, name);
	if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
		return error_errno(err, errno, "cannot remove %s", path);
	audit_write(NULL, "unscheduled", "", "%s/squall-%s.timer", directory, name);
	/* patterns: none of them fails when there is nothing of that name (any more) */
	printf("removed squall-%s.timer and its service\n"
	       "Next, as root: systemctl daemon-reload; systemctl stop 'squall-%s.*'; systemctl "
	       "reset-failed 'squall-%s.*'\n",
	       name, name, name);
	return options_flush(err);
}

static int list(const char *directory, bool as_json, struct error *err)
{
	cleanup_dir DIR *open = opendir(directory);
	json_t *root = as_json ? json_array() : NULL;
	const struct dirent *entry;
	unsigned count = 0;

	if (!open && errno != ENOENT)
		return error_errno(err, errno, "cannot look into %s", directory);
	while (open && (entry = readdir(open))) {
		char path[PATH_MAX], calendar[256], name[NAME_MAX_LENGTH + 1];
		size_t length = strlen(entry->d_name);

		if (strncmp(entry->d_name, "squall-", 7) != 0 || length < 14 ||
		    strcmp(entry->d_name + length - 6, ".timer") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		snprintf(name, sizeof(name), "%.*s", (int)(length - 13), entry->d_name + 7);
		if (!read_calendar(path, calendar, sizeof(calendar)))
			continue;
		count++;
		if (as_json)
			json_array_append_new(root, json_pack("{s:s, s:o, s:s}", "name", name, "on",
							      json_text(calendar), "unit", path));
		else
			printf("%-24s %s\n", name, calendar);
	}
	if (as_json)
		return json_print(root, stdout, true, err);
	if (!count)
		printf("No experiment is scheduled.\n");
	return options_flush(err);
}

int cli_schedule(int argc, char **argv, struct error *err)
{
	struct option_text texts[TEXT_COUNT + 1] = {
		[TEXT_ON] = {.name = "on"},
		[TEXT_DELAY] = {.name = "random-delay"},
		[TEXT_NAME] = {.name = "name"},
		[TEXT_REMOVE] = {.name = "remove"},
		[TEXT_DIRECTORY] = {.name = "directory"},
	};
	struct options options = {
		.help = help, .texts = texts, .has_json = true, .max_operands = 1};
	const char *directory;
	int result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	directory = texts[TEXT_DIRECTORY].text ? texts[TEXT_DIRECTORY].text : UNITS;
	if (!options.operand_count && !texts[TEXT_REMOVE].text && !texts[TEXT_ON].text)
		return list(directory, options.json, err);
	if (!options.operand_count == !texts[TEXT_REMOVE].text ||
	    !texts[TEXT_ON].text != !options.operand_count) {
		error_set(err, EINVAL, "schedule: give a FILE and --on, or --remove and a name");
		return error_remedy(err, "squall schedule --help");
	}
	result = options_need_root("schedule", "writing units needs root", err);
	if (result < 0)
		return result;
	result = options.operand_count ? add(options.operands[0], texts, directory, err)
				       : remove_units(directory, texts[TEXT_REMOVE].text, err);
	if (result < 0)
		audit_write(NULL, "refused", "", "%s",
			    err->text[0] ? err->text : "the file is invalid");
	return result;
}
