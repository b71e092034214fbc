/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Endpoints from files: an address or network a line, `#` begins a comment. Read where the
 * experiment is read, with the rights of who wrote it; what goes on to the worker is text, which it
 * parses like any other.
 */
#include "faults/target.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FILE_MAX     (8 << 20) /* a hundred thousand networks of IPv6, and as much comment */
#define MISTAKES_MAX 50	       /* nobody mends more at once */

struct list_reading {
	const struct fault_files *files;
	const char *name; /* of the file */
	struct params *params;
	unsigned parameter; /* that the values are of */
	unsigned line, mistakes;
	struct error first;
};

static void mistake(struct list_reading *reading, unsigned column, const char *text)
{
	reading->mistakes++;
	if (reading->files->problem)
		reading->files->problem(reading->files->context, reading->line, column, text);
	else if (reading->mistakes == 1)
		error_set(&reading->first, EINVAL, "%s:%u:%u: %s", reading->name, reading->line,
			  column, text);
}

/* `column` counts from 1. */
static int take_value(struct list_reading *reading, char *text, unsigned column)
{
	struct params *params = reading->params;
	struct error why = ERROR_INIT;
	int result = params_add(params, reading->parameter, text, 0, 0, &why);

	if (result == 0 &&
	    params_value(params, reading->parameter, params_count(params, reading->parameter) - 1)
			    ->endpoint.family == AF_UNSPEC)
		error_set(&why, EINVAL,
			  "'%s' is neither an address nor a network; a file holds those alone",
			  text);
	if (result == -ENOMEM)
		reading->first = why;
	else if (why.code)
		mistake(reading, column, why.text);
	return result == -ENOMEM ? result : 0;
}

static int take_line(struct list_reading *reading, char *line)
{
	char *text = line + strspn(line, " \t"), *end = text + strcspn(text, " \t\r#"), *rest = end;

	if (*text == '#' || *text == '\r' || !*text)
		return 0;
	rest += strspn(rest, " \t\r");
	if (*rest && *rest != '#') {
		mistake(reading, (unsigned)(rest - line) + 1,
			"one address or network a line: something follows it");
		return 0;
	}
	*end = '\0';
	return take_value(reading, text, (unsigned)(text - line) + 1);
}

static int read_lines(struct list_reading *reading, char *text)
{
	unsigned before = params_count(reading->params, reading->parameter);
	int result = 0;

	if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3; /* a byte order mark */
	for (char *line = text, *next; *line && result == 0; line = next) {
		char *end = strchrnul(line, '\n');

		next = end + (*end != '\0');
		*end = '\0';
		reading->line++;
		result = take_line(reading, line);
		if (reading->mistakes > MISTAKES_MAX)
			break;
		if (params_count(reading->params, reading->parameter) > TARGET_ENDPOINTS_MAX) {
			mistake(reading, 1, "there are more than 100000 addresses and networks");
			break;
		}
	}
	if (result == 0 && !reading->mistakes &&
	    params_count(reading->params, reading->parameter) == before)
		mistake(reading, 1, "there is no address and no network in it");
	return result;
}

/* The list that the values of a file belong to; -1: the parameter names no file. */
static int list_of(const struct params *params, unsigned parameter)
{
	if (params->table != traffic_params)
		return -1;
	return parameter == TRAFFIC_TO_FILE	  ? TRAFFIC_TO
	       : parameter == TRAFFIC_EXCEPT_FILE ? TRAFFIC_EXCEPT
						  : -1;
}

bool target_is_list_file(const struct params *params, unsigned parameter)
{
	return list_of(params, parameter) >= 0;
}

int target_load(struct params *params, unsigned parameter, const struct fault_files *files,
		struct error *err)
{
	int list = list_of(params, parameter), result;
	struct list_reading reading = {.files = files, .params = params, .first = ERROR_INIT};
	cleanup_free char *text = NULL;
	size_t length = 0;

	if (list < 0 || !params_is_set(params, parameter))
		return 0;
	reading.parameter = (unsigned)list;
	reading.name = params_text(params, parameter);
	result = files->read(files->context, reading.name, FILE_MAX, &text, &length, err);
	if (result < 0) {
		error_prefix(err, "%s", params->table[parameter].name);
		return result;
	}
	if (strlen(text) != length)
		return error_set(err, EINVAL, "%s: %s is not text", params->table[parameter].name,
				 reading.name);
	result = read_lines(&reading, text);
	if (result == 0 && reading.mistakes)
		result = -EINVAL;
	if (result < 0 && err && reading.first.code)
		*err = reading.first;
	return result;
}
