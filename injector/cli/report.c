/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall report: a stored result, written out again. Files are opened with the caller's rights, and
 * what is in them is read after root's rights are gone for good.
 */
#include "injector/cli/commands.h"

#include "injector/base/cleanup.h"
#include "injector/base/json.h"
#include "injector/base/log.h"
#include "injector/base/page.h"
#include "injector/cli/options.h"
#include "injector/cli/results.h"
#include "injector/kernel/sandbox.h"
#include "injector/report/report.h"
#include "injector/report/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
	"usage: squall report [--format FORMAT] [-o FILE] [RUN|FILE|last]\n"
	"\n"
	"Writes out the result of a finished run: that of RUN, one kept in FILE (- for standard\n"
	"input), or the last one of this machine.\n"
	"\n"
	"  --format FORMAT    text (default), markdown, html, junit or json; without it, the end\n"
	"                     of the name behind -o decides: .md, .html, .xml, .json\n"
	"  -o, --output FILE  write there instead of standard output\n"
	"  --help             this text\n"
	"\n"
	"Exit code: 0, or 2 when there is no such result.\n";

static int write_json(const json_t *root, FILE *out, struct error *err)
{
	return json_print(json_incref((json_t *)(uintptr_t)root), out, true, err);
}

static const struct format {
	const char *name, *suffix;
	void (*write)(const json_t *root, FILE *out); /* NULL: text, json */
} formats[] = {
	{"text", ".txt", NULL},		{"markdown", ".md", report_markdown},
	{"html", ".html", report_html}, {"junit", ".xml", report_junit},
	{"json", ".json", NULL},	{0},
};

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static const struct format *choose_format(const char *name, const char *path, struct error *err)
{
	const char *names[sizeof(formats) / sizeof(*formats)], *nearest;
	const struct format *format;
	unsigned count = 0;

	for (format = formats; format->name; format++) {
		if (name ? strcmp(name, format->name) == 0
			 : path && ends_with(path, format->suffix))
			return format;
		names[count++] = format->name;
	}
	if (!name)
		return formats;
	names[count] = NULL;
	nearest = names_nearest(names, name);
	error_set(err, EINVAL, "report: there is no format '%.40s'%s%s%s", name,
		  nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
	error_remedy(err, "one of text, markdown, html, junit, json");
	return NULL;
}

/* A file that is there is emptied only when there is something to write. */
static FILE *open_output(const char *path, struct error *err)
{
	FILE *file;
	int fd;

	if (!path || strcmp(path, "-") == 0)
		return stdout;
	fd = sandbox_open_as_caller(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, err);
	if (fd < 0)
		return NULL;
	file = fdopen(fd, "w");
	if (!file) {
		error_errno(err, errno, "cannot write %s", path);
		close(fd);
	}
	return file;
}

static int write_out(const struct format *format, const json_t *root, FILE *out, const char *name,
		     struct error *err)
{
	if (out != stdout && ftruncate(fileno(out), 0) < 0 && errno != EINVAL)
		return error_errno(err, errno, "cannot empty %s", name);
	if (format->write)
		format->write(root, out);
	else if (strcmp(format->name, "json") == 0)
		return write_json(root, out, err);
	else
		report_text(root, out, out == stdout && log_has_colour(STDOUT_FILENO), 0);
	errno = 0;
	if (fflush(out) != 0 || ferror(out))
		return error_errno(err, errno ? errno : EIO, "cannot write %s", name);
	return 0;
}

int cli_report(int argc, char **argv, struct error *err)
{
	struct option_text texts[] = {{.name = "format"}, {.name = "output", .letter = 'o'}, {0}};
	struct options options = {.help = help, .texts = texts, .max_operands = 1};
	const char *output = NULL;
	const struct format *format;
	FILE *in = NULL, *out = NULL;
	json_t *root = NULL;
	char path[4096];
	int result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	output = texts[1].text;
	format = choose_format(texts[0].text, output, err);
	if (!format)
		return -EINVAL;
	in = results_open(options.operand_count ? options.operands[0] : "last", path, sizeof(path),
			  err);
	result = in ? 0 : -err->code;
	if (result == 0) {
		out = open_output(output, err);
		result = out ? results_give_up_rights(err) : -err->code;
	}
	if (result == 0)
		result = stored_read(in, path, &root, err);
	if (result == 0)
		result = write_out(format, root, out, output ? output : "standard output", err);
	json_decref(root);
	if (in && in != stdin)
		fclose(in);
	if (out && out != stdout && fclose(out) != 0 && result == 0)
		result = error_errno(err, errno, "cannot write %s", output);
	return result;
}
