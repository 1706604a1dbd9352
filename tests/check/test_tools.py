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

    def test_what_is_optional_and_absent_fails_nowhere(self):
        described = [Tool("sh", "apt", "dash"), Tool("no-such-program", "apt", "one"), Tool("nor-this-one", "apt", "two", optional=True)]
        self.assertEqual(str(tools.verdict(described, strict=True)), "1 passed, 1 failed, 1 skipped")
        self.assertEqual(str(tools.verdict(described, strict=False)), "1 passed, 0 failed, 2 skipped")

    def test_a_library_is_looked_for_where_debian_keeps_libraries(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(tools, "LIBRARIES", (Path(folder),)):
            client, library = (Tool(name, "apt", "one") for name in ("client.so", "libclang-[0-9]*.so*"))
            (Path(folder) / "pkcs11").mkdir()
            (Path(folder) / "libclang-cpp.so.14").touch()
            self.assertFalse(tools.present(client) or tools.present(library))
            (Path(folder) / "pkcs11/client.so").touch()
            (Path(folder) / "libclang-14.so.1").touch()
            self.assertTrue(tools.present(client) and tools.present(library))


if __name__ == "__main__":
    unittest.main()
