import tempfile
import unittest
from pathlib import Path
from unittest import mock

import tools
from stages import Tool


class Tools(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.policy = Path(folder.name) / "policy-rc.d"
        patch = mock.patch.object(tools, "POLICY", self.policy)
        patch.start()
        self.addCleanup(patch.stop)

    def test_services_are_forbidden_to_start_only_meanwhile(self):
        with tools._no_service_starts():
            self.assertIn("exit 101", self.policy.read_text())
        self.assertFalse(self.policy.exists())

    def test_a_policy_that_was_there_stays(self):
        self.policy.write_text("#!/bin/sh\nexit 0\n")
        with tools._no_service_starts():
            self.assertIn("exit 0", self.policy.read_text())
        self.assertIn("exit 0", self.policy.read_text())

    def test_a_missing_tool_is_named_with_its_remedy(self):
        absent = Tool("no-such-program", "apt", "no-such-package")
        self.assertEqual(tools.missing([absent, Tool("sh", "apt", "dash")]),
                         ["no-such-program is missing; hint: sudo apt-get install no-such-package"])

    def test_a_virtual_environment_of_other_requirements_is_missing(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(tools, "VENV", Path(folder)):
            (Path(folder) / "bin").mkdir()
            (Path(folder) / "bin/judge").touch()
            judge = Tool("judge", "venv", "")
            (Path(folder) / "installed-0000000000000000").touch()
            self.assertFalse(tools.present(judge))
            tools._venv_stamp().touch()
            self.assertTrue(tools.present(judge))


if __name__ == "__main__":
    unittest.main()
