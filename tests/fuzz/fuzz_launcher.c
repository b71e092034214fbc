/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the conductor may send to the launcher, which starts commands for it: any sequence of
 * requests. Nothing is started here; what would be is looked at.
 */
/* its handlers are its own business */
#include "tests/fuzz/fuzz_input.h"

#include "injector/probes/launcher_child.c" /* NOLINT(bugprone-suspicious-include) */

/* In place of launcher_runs.c */
void launcher_runs_start(struct launcher_server *server, const struct launcher_request *request)
{
	const struct launcher_command *command = &server->commands[request->number];
	size_t length = strlen(command->text) + 1;

	require(command->argv && command->argv[0]);
	for (char **each = command->argv; *each; each++)
		length += strlen(*each) + 1;
	require(length == command->length);
}

void launcher_runs_cancel(struct launcher_server *server, uint64_t run)
{
	(void)server, (void)run;
}

void launcher_runs_kill_all(struct launcher_server *server)
{
	(void)server;
}

void launcher_runs_reap(struct launcher_server *server)
{
	(void)server;
}

void launcher_runs_settle(struct launcher_server *server)
{
	(void)server;
}

/* A request in few bytes. */
static size_t read_request(const uint8_t *data, size_t size, struct launcher_request *out)
{
	size_t used = 4, length;

	memset(out, 0, sizeof(*out));
	if (size < used)
		return size;
	out->op = data[0] & 7;
	out->number = data[1];
	out->flags = data[2] & 1;
	out->run = data[2] >> 1;
	/* as long as it says, or not at all */
	out->length = data[2] & 0x80 ? (uint32_t)data[3] << (data[1] & 31) : data[3];
	if (out->op != LAUNCHER_TEXT)
		return used;
	length = data[3] < size - used ? data[3] : size - used;
	if (length > sizeof(out->data))
		length = sizeof(out->data);
	memcpy(out->data, data + used, length);
	return used + length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct launcher_server server = {
		.commands = calloc(LAUNCHER_COMMANDS_MAX, sizeof(*server.commands))};

	if (!server.commands)
		return 0;
	while (size) {
		struct launcher_request request;
		size_t used = read_request(data, size, &request);

		data += used;
		size -= used;
		if (!serve(&server, &request))
			break; /* which ends it */
		require(server.count <= LAUNCHER_COMMANDS_MAX);
	}
	for (unsigned i = 0; i < server.count; i++) {
		free(server.commands[i].text);
		free(server.commands[i].argv);
	}
	free(server.commands);
	return 0;
}
