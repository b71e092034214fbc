# SPDX-License-Identifier: GPL-2.0-or-later
"""client.py SERVER SCHEMA FILE...: an editor, as far as a language server can see. See tests/editor/check."""
import json
import pathlib
import subprocess
import sys


class Server:
    """The protocol is JSON-RPC with a header that says how long a message is, on standard streams."""

    def __init__(self, program, schema):
        self.process = subprocess.Popen([program, '--stdio'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.schema, self.next_id, self.diagnostics = schema, 1, {}
        self.settings = {'yaml': {'schemas': {schema: ['*.yaml']}, 'schemaStore': {'enable': False},
                                  'validate': True, 'hover': True, 'completion': True}}
        self.call('initialize', {
            'processId': None, 'rootUri': None,
            'capabilities': {'workspace': {'configuration': True, 'didChangeConfiguration': {}},
                             'textDocument': {'completion': {'completionItem': {'snippetSupport': True}}}}})
        self.send({'method': 'initialized', 'params': {}})
        self.send({'method': 'workspace/didChangeConfiguration', 'params': {'settings': self.settings}})

    def send(self, message):
        text = json.dumps({'jsonrpc': '2.0', **message}).encode()
        self.process.stdin.write(b'Content-Length: %d\r\n\r\n' % len(text) + text)
        self.process.stdin.flush()

    def receive(self):
        length = 0
        while (line := self.process.stdout.readline().strip()):
            if line.lower().startswith(b'content-length:'):
                length = int(line.split(b':')[1])
        if not length:
            sys.exit('the language server has ended')
        return json.loads(self.process.stdout.read(length))

    def handle(self, message):
        if message.get('method') == 'textDocument/publishDiagnostics':
            self.diagnostics[message['params']['uri']] = message['params']['diagnostics']
        elif message.get('method') == 'workspace/configuration':
            self.send({'id': message['id'], 'result': [self.settings.get(item.get('section'), {})
                                                       for item in message['params']['items']]})
        elif 'method' in message and 'id' in message:
            self.send({'id': message['id'], 'result': None})

    def call(self, method, params):
        number, self.next_id = self.next_id, self.next_id + 1
        self.send({'id': number, 'method': method, 'params': params})
        while True:
            message = self.receive()
            if message.get('id') == number and 'method' not in message:
                if 'error' in message:
                    sys.exit(f'{method}: {message["error"]}')
                return message['result']
            self.handle(message)

    def open(self, name, text):
        uri = f'file:///tmp/{name}'
        self.send({'method': 'textDocument/didOpen', 'params': {'textDocument': {
            'uri': uri, 'languageId': 'yaml', 'version': 1, 'text': text}}})
        return uri

    def complaints(self, name, text):
        uri = self.open(name, text)
        while uri not in self.diagnostics:
            self.handle(self.receive())
        return self.diagnostics.pop(uri)

    def ask(self, what, name, text):
        """At the mark | in the text."""
        before, after = text.split('|', 1)
        uri = self.open(name, before + after)
        return self.call(f'textDocument/{what}', {'textDocument': {'uri': uri}, 'position': {
            'line': before.count('\n'), 'character': len(before.rsplit('\n', 1)[-1])}})

    def labels(self, name, text):
        answer = self.ask('completion', name, text)
        return {item['label'] for item in (answer['items'] if isinstance(answer, dict) else answer)}


HEAD = 'version: 1\nlimits: {duration: 1m, targets: 1}\ntargets:\n  store: {to: "10.0.5.7:443"}\n'
MISTAKES = [  # line from 0, the text
    (4, HEAD + 'metod:\n  - {at: 0s, for: 5s, network: {target: store, delay: 200ms}}\n'),
    (5, HEAD + 'method:\n  - {at: 0s, for: 5s, network: {target: store, delya: 200ms}}\n'),
    (5, HEAD + 'method:\n  - {at: 0s, for: 5s, network: {target: store, delay: 200}}\n'),
    (5, HEAD + 'method:\n  - {at: 0s, for: 5s, network: {target: store, direction: sideways}}\n'),
    (1, HEAD.replace('targets: 1}', 'targets: many}') + 'method:\n  - {at: 0s, for: 5s, network: {target: store, delay: 1s}}\n'),
]
COMPLETED = [  # what is offered, where
    ('abort-when', HEAD + '|\n'),
    ('http', HEAD + 'probes:\n  page:\n    |\n'),
    ('network', HEAD + 'method:\n  - at: 0s\n    for: 5s\n    |\n'),
    ('delay', HEAD + 'method:\n  - at: 0s\n    for: 5s\n    network:\n      target: store\n      |\n'),
    ('egress', HEAD + 'method:\n  - at: 0s\n    for: 5s\n    network:\n      target: store\n      direction: |\n'),
]
EXPLAINED = [  # a word of the explanation, where
    ('the longest the run may take', HEAD.replace('limits', 'lim|its') + 'method: []\n'),
    ('time each packet is held back', HEAD + 'method:\n  - at: 0s\n    for: 5s\n    network:\n      target: store\n      del|ay: 200ms\n'),
]


def main(program, schema, files):
    server = Server(program, pathlib.Path(schema).resolve().as_uri())
    wrong = []
    for name in files:
        path = pathlib.Path(name)
        wrong += [f'{name}:{one["range"]["start"]["line"] + 1}: {one["message"]}'
                  for one in server.complaints(path.name, path.read_text())]
    for number, (line, text) in enumerate(MISTAKES):
        lines = [one['range']['start']['line'] for one in server.complaints(f'mistake{number}.yaml', text)]
        if line not in lines:
            wrong.append(f'a mistake in line {line + 1} is found in {lines}:\n{text}')
    for number, (label, text) in enumerate(COMPLETED):
        offered = server.labels(f'completed{number}.yaml', text)
        if label not in offered:
            wrong.append(f'{label} is not offered, only {sorted(offered)}:\n{text}')
    for number, (word, text) in enumerate(EXPLAINED):
        said = json.dumps(server.ask('hover', f'explained{number}.yaml', text))
        if said == 'null' or word not in said:
            wrong.append(f'"{word}" is not in {said}:\n{text}')
    server.process.kill()
    if wrong:
        sys.exit('\n'.join(wrong))
    print(f'editor: no complaint of {len(files)} examples, {len(MISTAKES)} mistakes found, {len(COMPLETED)} completions, '
          f'{len(EXPLAINED)} explanations')


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
