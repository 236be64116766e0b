//go:build lab

package scenario

import "testing"

// dnf is dnf 4 over rpm. Debian's plugin that keeps what dnf has downloaded fails, and where dpkg has installed anything Salve asks
// nothing but dpkg.
var dnf = packager{
	repository: `mkdir -p /srv/repository /etc/rpm /etc/yum.repos.d && cd /srv/repository
echo '%_dbpath /var/lib/rpm' > /etc/rpm/macros
for v in 1.0 2.0; do
  cat > shop-data.spec << END
Name: shop-data
Version: $v
Release: 1
Summary: of the lab
License: none
BuildArch: noarch
AutoReqProv: no
%description
of the lab
%install
mkdir -p %{buildroot}/opt/shop-data
[ $v = 1.0 ] || echo corrupt > %{buildroot}/opt/shop-data/cache
%files
/opt/shop-data
END
  rpmbuild -bb --quiet --define '_topdir /srv/repository/build' --define '_rpmdir /srv/repository' shop-data.spec
done
createrepo_c --quiet .
printf '[shop]\nname=shop\nbaseurl=file:///srv/repository\ngpgcheck=0\n' > /etc/yum.repos.d/shop.repo
printf '[main]\nenabled=0\n' > /etc/dnf/plugins/local.conf
dnf --quiet makecache && dnf --quiet --assumeyes install shop-data-1.0-1
touch /srv/empty && mount --bind /srv/empty /var/lib/dpkg/status`,
	takeBack:   "umount /var/lib/dpkg/status; rpm --erase shop-data; rm /etc/yum.repos.d/shop.repo; dnf --quiet versionlock clear",
	upgrade:    "dnf --quiet --assumeyes upgrade shop-data",
	upgradeAll: "dnf --quiet --assumeyes upgrade",
	installed: `want=install
! grep -q '^shop-data-0:1.0-1' /etc/dnf/plugins/versionlock.list || want=hold
rpm --query --queryformat "$want ok installed %{VERSION}-%{RELEASE}" shop-data`,
	journal: "Downgraded:",
}

// TestPackagesOfRPM is TestPackages with dnf: what the agent asks it works in its sandbox, and so does what process 1 has it do.
func TestPackagesOfRPM(t *testing.T) {
	open(t, "dnf", "dnf-plugins-core", "createrepo-c", "rpm").goBack(dnf)
}
