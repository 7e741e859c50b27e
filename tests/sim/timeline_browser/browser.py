# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven through its DevTools pipe: no port, no driver program, no package of Python's."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PROGRAMS = ('chromium-headless-shell', 'chromium')


class Failure(Exception):
    pass


class Browser:
    """One page in a browser of its own. Input goes the way a person's does: as mouse, wheel and key events."""

    def __init__(self, width=1280, height=800, dark=False):
        program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
        if program is None:
            raise Failure(f'there is no {" or ".join(PROGRAMS)}: src/tools/setup installs it')
        self.profile = tempfile.mkdtemp(prefix='muster-timeline-')
        to_browser, self.commands = os.pipe()
        self.answers, from_browser = os.pipe()
        # The sandbox needs user namespaces, which containers and root do not give; the page is our own.
        arguments = [program, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
                     '--hide-scrollbars', '--remote-debugging-pipe', f'--user-data-dir={self.profile}', 'about:blank']
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, close_fds=False,
                                        preexec_fn=lambda: self.use_pipes(to_browser, from_browser))
        os.close(to_browser)
        os.close(from_browser)
        self.buffer = b''
        self.number = 0
        self.session = None
        self.complaints = []  # what the page wrote to the console as an error, threw, or tried to load
        self.loaded = False
        target = self.call('Target.createTarget', url='about:blank', width=width, height=height)['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(f'{domain}.enable')
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.set_dark(dark)

    @staticmethod
    def use_pipes(to_browser, from_browser):
        """The browser reads commands from descriptor 3 and answers on 4."""
        high_in = os.dup2(to_browser, 200, inheritable=False)  # either may be 3 or 4 itself
        high_out = os.dup2(from_browser, 201, inheritable=False)
        os.dup2(high_in, 3)
        os.dup2(high_out, 4)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.commands)
        os.close(self.answers)
        shutil.rmtree(self.profile, ignore_errors=True)

    # ---- the protocol ---------------------------------------------------------------------------------------

    def call(self, method, **parameters):
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': parameters}
        if self.session is not None:
            message['sessionId'] = self.session
        os.write(self.commands, json.dumps(message).encode() + b'\0')
        while True:
            answer = self.read(60)
            if answer is None:
                raise Failure(f'the browser does not answer {method}')
            if answer.get('id') != self.number:
                self.note(answer)
            elif 'error' in answer:
                raise Failure(f'{method}: {answer["error"]}')
            else:
                return answer['result']

    def read(self, seconds):
        deadline = time.monotonic() + seconds
        while b'\0' not in self.buffer:
            ready, _, _ = select.select([self.answers], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                return None
            data = os.read(self.answers, 1 << 20)
            if not data:
                raise Failure('the browser is gone')
            self.buffer += data
        message, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(message)

    def note(self, event):
        method, parameters = event.get('method'), event.get('params', {})
        if method == 'Runtime.exceptionThrown':
            details = parameters['exceptionDetails']
            self.complaints.append(details.get('exception', {}).get('description') or details['text'])
        elif method == 'Runtime.consoleAPICalled' and parameters['type'] in ('error', 'warning', 'assert'):
            self.complaints.append(' '.join(str(a.get('value', a.get('description'))) for a in parameters['args']))
        elif method == 'Log.entryAdded' and parameters['entry']['level'] in ('error', 'warning'):
            self.complaints.append(parameters['entry']['text'])
        elif method == 'Network.requestWillBeSent':
            url = parameters['request']['url']
            if not url.startswith(('file:', 'about:', 'data:')):
                self.complaints.append(f'asks for {url}')
        elif method == 'Page.loadEventFired':
            self.loaded = True

    # ---- what a person does ---------------------------------------------------------------------------------

    def open(self, path):
        self.loaded = False
        self.call('Page.navigate', url='file://' + os.path.abspath(path))
        deadline = time.monotonic() + 60
        while not self.loaded:
            event = self.read(max(0, deadline - time.monotonic()))
            if event is None:
                raise Failure(f'{path} is not loaded after 60 s')
            self.note(event)
        self.settle()

    def settle(self):
        """Until the page has drawn what was asked of it."""
        self.evaluate('new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))')

    def evaluate(self, expression):
        answer = self.call('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in answer:
            raise Failure(f'{expression}: {answer["exceptionDetails"]}')
        return answer['result'].get('value')

    def set_dark(self, dark):
        self.call('Emulation.setEmulatedMedia',
                  features=[{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])

    def mouse(self, kind, x, y, **more):
        self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, **more)
        self.settle()

    def hover(self, x, y):
        self.mouse('mouseMoved', x, y)

    def click(self, x, y):
        for kind in ('mousePressed', 'mouseReleased'):
            self.mouse(kind, x, y, button='left', clickCount=1)

    def drag(self, x, y, to_x, to_y):
        self.mouse('mousePressed', x, y, button='left', clickCount=1, buttons=1)
        self.mouse('mouseMoved', to_x, to_y, button='left', buttons=1)
        self.mouse('mouseReleased', to_x, to_y, button='left', clickCount=1)

    def wheel(self, x, y, pixels):
        self.mouse('mouseWheel', x, y, deltaX=0, deltaY=pixels)

    def key(self, key, code=None):
        text = {'text': key} if len(key) == 1 else {}
        self.call('Input.dispatchKeyEvent', type='keyDown', key=key, code=code or key, **text)
        self.call('Input.dispatchKeyEvent', type='keyUp', key=key, code=code or key)
        self.settle()

    def centre(self, selector):
        box = self.evaluate(f'(b => [b.x + b.width / 2, b.y + b.height / 2])'
                            f'(document.querySelector({json.dumps(selector)}).getBoundingClientRect())')
        return box[0], box[1]

    def screenshot(self, path):
        with open(path, 'wb') as file:
            file.write(base64.b64decode(self.call('Page.captureScreenshot', format='png')['data']))
