import unittest

import workspace


class Workspace(unittest.TestCase):
    def test_tests_of_rooms_leave_out_the_suites(self):
        test, lib = {"name": "probe", "kind": ["test"]}, {"name": "hsm", "kind": ["lib"]}
        suite = {"name": "journeys", "kind": ["test"]}
        described = {"packages": [{"name": "hsm", "targets": [lib, test]}, {"name": "support", "targets": [suite]}]}
        self.assertEqual(workspace.tests_of_rooms(described), ["probe"])

    def test_a_command_is_filled_with_the_tests_of_this_workspace(self):
        self.assertIn("--test program", workspace.filled("cargo test {tests-of-rooms} --lib"))
        self.assertNotIn("journeys", workspace.filled("cargo test {tests-of-rooms}"))
        self.assertEqual(workspace.filled("cargo fmt"), "cargo fmt")


if __name__ == "__main__":
    unittest.main()
